//! The contract is whole: no cell without evidence, every plan of it shows what its cell says, and docs/contract.md is as the
//! table is.

use std::collections::BTreeSet;

use crate::common::{PUBLISHED, plan_files};
use grantsim::{
    drive,
    property::{Contract, Judge, Promise, catalogue},
    report,
    types::FaultClass,
};

#[test]
fn every_plan_breaks_what_its_cell_says_under_that_class_of_faults_and_no_other() {
    let contract = Contract::published();
    let plans = plan_files("fixtures/contract");
    let mut cells = BTreeSet::new();
    for may in &contract.may {
        assert!(
            cells.insert((may.property(), may.fault)),
            "{} under {} is listed twice",
            may.property(),
            may.fault
        );
        let name = may.plan.strip_suffix(".json").expect("a plan is JSON");
        let plan =
            &plans.iter().find(|(of, _)| of == name).unwrap_or_else(|| panic!("{name} is there")).1.plan;
        let classes: BTreeSet<FaultClass> = plan.faults.iter().map(|fault| fault.class()).collect();
        let others =
            FaultClass::FORGETFUL.iter().chain(&FaultClass::HOSTILE).filter(|class| **class != may.fault);
        assert!(others.clone().all(|class| !classes.contains(class)), "{name} has other faults that excuse");
        let (_, judge) = drive::watch(plan, &PUBLISHED, Judge::new(catalogue::promises())).expect("it runs");
        let excused = judge.finish().excused;
        let shows = |it: &(FaultClass, grantsim::property::Violation)| {
            it.0 == may.fault && it.1.fingerprint == may.fingerprint
        };
        assert!(
            excused.iter().any(shows),
            "{name} does not show {} under {}: {excused:?}",
            may.fingerprint,
            may.fault
        );
    }
    let named: BTreeSet<&str> =
        contract.may.iter().filter_map(|may| may.plan.strip_suffix(".json")).collect();
    let idle: Vec<_> =
        plans.iter().map(|(name, _)| name.as_str()).filter(|name| !named.contains(name)).collect();
    assert!(idle.is_empty(), "no cell names these plans: {idle:?}");
}

#[test]
fn no_cell_is_without_evidence() {
    let contract = Contract::published();
    let empty: Vec<String> = contract
        .cells()
        .filter(|cell| cell.evidence.is_empty())
        .map(|cell| format!("{} under {}", cell.property, cell.fault))
        .collect();
    assert!(empty.is_empty(), "{empty:?}");
    assert_eq!(contract.cells().count(), catalogue::promises().count() * FaultClass::ALL.len());
}

/// What the project is for, in the words of the table.
#[test]
fn grants_hold_wherever_what_was_acknowledged_is_kept() {
    let must = |property: &str, fault: FaultClass| {
        let cell =
            Contract::published().cells().find(|cell| cell.property == property && cell.fault == fault);
        cell.expect("there is such a cell").promise == Promise::Must
    };
    for property in ["at-most-once", "expiry", "one-lease", "fence"] {
        for fault in FaultClass::ALL.iter().filter(|fault| !FaultClass::FORGETFUL.contains(fault)) {
            assert!(must(property, *fault), "{property} under {fault}");
        }
    }
    for fault in FaultClass::ALL.iter().filter(|fault| !FaultClass::FORGETFUL.contains(fault)) {
        assert!(must("lane", *fault) || FaultClass::HOSTILE.contains(fault), "lane under {fault}");
    }
    assert!(!must("at-most-once", FaultClass::Failover), "a lossy failover consumes a grant twice");
}

#[test]
fn the_document_is_as_the_table_is() {
    let now = report::contract_in_markdown(Contract::published());
    let written = std::fs::read_to_string("docs/contract.md").unwrap_or_default();
    assert!(
        written == now,
        "docs/contract.md is stale: cargo run --release -- contract --markdown > docs/contract.md"
    );
}
