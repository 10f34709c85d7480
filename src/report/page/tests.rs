use super::{
    model::{BarSort, SpanSort},
    *,
};
use crate::{
    drive::{self, Subject},
    finding::Finding,
    library::{Library, Mutant},
    plan::{Plan, file::PlanFile, token::Token},
    property::catalogue,
};

fn of(plan: &Plan, library: Library) -> Model {
    let subject = Subject::new(library).unwrap();
    let trace = drive::run(plan, &subject).unwrap();
    let properties: Vec<_> = catalogue::promises().collect();
    let known = Finding::of(&subject);
    let run = Run {
        trace: &trace,
        plan: Some(plan),
        properties: &properties,
        executions: &[],
        known: &known,
        replay: "a line",
    };
    model(&run, None)
}

fn finding(slug: &str) -> Model {
    let finding = Finding::all().into_iter().find(|finding| finding.slug == slug).expect("a finding");
    of(&finding.plan(&finding.shows[0]), Library::published())
}

/// Bars of one kind as text: whose, from when to when in milliseconds, and how it ended.
fn bars(model: &Model, k: BarSort) -> Vec<String> {
    let ms = |us: u64| us as f64 / 1_000.0;
    let of_kind = model.bars.iter().filter(|bar| bar.k == k);
    of_kind.map(|bar| format!("{} {}..{} {}", bar.label, ms(bar.from.t), ms(bar.to.t), bar.how)).collect()
}

#[test]
fn grants_leases_and_states_last_from_their_issue_to_their_end() {
    let model = finding("cancel-from-a-former-owner");
    assert_eq!(
        bars(&model, BarSort::Grant),
        ["claim grant for worker-1 10..17 consumed", "reclaim grant for worker-2 5013..5020 consumed",]
    );
    assert_eq!(bars(&model, BarSort::Lease), ["worker-1 17..5020 superseded", "worker-2 5020..5124 ended"]);
    assert_eq!(bars(&model, BarSort::Work), ["works on e1 18..5300 done", "works on e1 5021..5123 done"]);
    let states = bars(&model, BarSort::State);
    assert!(states[2].starts_with("active, lease marked expired 4507..5020"), "{states:?}");
    let leases: Vec<_> = model.bars.iter().filter(|bar| bar.k == BarSort::Lease).collect();
    assert_eq!(leases.iter().map(|bar| bar.epoch).collect::<Vec<_>>(), [Some(1), Some(2)]);
    assert_eq!(leases[0].over, [(3_017_000, 5_020_000)], "it lay there, expired, until it was superseded");
    let pause = model.spans.iter().find(|span| span.k == SpanSort::Pause).expect("the worker stood still");
    assert_eq!((pause.from.t, pause.to.t), (300_000, 5_300_000));
    assert_eq!(model.nodes[pause.n[0]].name, "worker-1");
}

#[test]
fn a_grant_that_nobody_takes_lasts_until_the_server_removes_it() {
    let plan = PlanFile::read("fixtures/plans/life-expires-unconsumed.json".as_ref()).expect("a plan").plan;
    let grants = bars(&of(&plan, Library::published()), BarSort::Grant);
    assert!(grants[0].ends_with("expired"), "{grants:?}");
    assert!(grants[1].ends_with("consumed"), "{grants:?}");
}

#[test]
fn a_lease_is_over_as_long_as_the_servers_clock_says_so() {
    let model = finding("renewal-of-a-marked-lease");
    let lease = model.bars.iter().find(|bar| bar.k == BarSort::Lease).expect("a lease");
    let [(from, to)] = lease.over[..] else { panic!("{:?}", lease.over) };
    assert!(from < 1_503_000, "it was over before the scanner marked it");
    assert_eq!(to, 2_000_000, "the clock was set back: it is good again");
    let clock = model.spans.iter().find(|span| span.k == SpanSort::Clock).expect("a wrong clock");
    assert_eq!((clock.label.as_str(), clock.from.t), ("clock -2000 ms", 2_000_000));
}

#[test]
fn a_clock_that_is_wrong_from_the_start_is_known_from_the_plan() {
    let model = finding("eligible-in-the-delayed-set");
    let submitter = model.nodes.iter().find(|lane| lane.name == "submitter").expect("a lane");
    assert_eq!(submitter.clock, "clock -5000 ms");
    assert!(model.spans.iter().any(|span| span.k == SpanSort::Clock && span.from.t == 0));
}

#[test]
fn the_page_opens_with_what_is_news_and_says_what_is_known() {
    let model = finding("renewal-of-a-marked-lease");
    assert_eq!(model.focus, 0);
    let known = model.violations[0].finding.as_ref().expect("a known finding");
    assert_eq!(known.slug, "renewal-of-a-marked-lease");
    assert!(known.about.contains("ff_renew_lease compares"));
    assert!(!model.violations[0].claim.is_empty() && !model.violations[0].kind.is_empty());
}

#[test]
fn renewals_are_routine_but_for_the_one_before_the_violation() {
    // A life with many renewals before what breaks; of this generator there is none before the first seed that is looked at.
    let with_renewals = |seed| {
        let library = Library::published().mutant(&Mutant::named("no-fence").expect("a mutant"));
        let model = of(&Token::new("crash", seed).unwrap().plan(), library);
        let broken = model.violations.iter().find(|broken| broken.property == "fence")?;
        let (at, execution) = (broken.at, broken.execution);
        let ours = |event: &&Happening| execution.is_some_and(|x| event.x.contains(&x));
        let is_renewal =
            |event: &&Happening| event.k == Sort::Call && event.text.starts_with("ff_renew_lease");
        let renewals: Vec<_> = model.events.iter().filter(is_renewal).filter(ours).collect();
        let before = renewals.iter().filter(|event| event.s < at).count();
        let is_one = renewals.iter().any(|event| event.s == at);
        (is_one && before > 6).then_some((model, at, execution))
    };
    let (model, at, execution) = (0xa9..0x130).find_map(with_renewals).expect("a violation of the fence");
    let ours = |event: &&Happening| execution.is_some_and(|x| event.x.contains(&x));
    let renewals: Vec<_> = model
        .events
        .iter()
        .filter(|event| event.k == Sort::Call && event.text.starts_with("ff_renew_lease"))
        .filter(ours)
        .collect();
    let before: Vec<_> = renewals.iter().filter(|event| event.s < at).collect();
    assert_eq!(before.last().expect("a renewal").r, Relevance::Matters);
    let routine = before.iter().filter(|event| event.r == Relevance::Routine).count();
    assert!(routine >= 5 && routine < before.len(), "{routine} of {} are routine", before.len());
    let request =
        |event: &Happening| model.events.iter().find(|it| Some(it.s) == event.c).expect("a request").r;
    assert!(before.iter().all(|event| request(event) == event.r), "a request is shown as its call is");
    assert_eq!(renewals.iter().find(|event| event.s == at).map(|event| event.r), Some(Relevance::Matters));
}

#[test]
fn every_call_has_its_keys_arguments_reply_and_writes_and_every_word_stands_there_once() {
    let model = finding("cancel-from-a-former-owner");
    let claim =
        model.events.iter().find(|event| event.text.starts_with("ff_claim_execution")).expect("a claim");
    let call = claim.call.as_ref().expect("its details");
    let word = |place: &usize| model.words[*place].as_str();
    assert!(word(&call.keys[0]).ends_with(":core"), "{}", word(&call.keys[0]));
    assert_eq!(word(&call.argv[1]), "w1");
    assert!(call.reply.starts_with("[1, \"OK\", "), "{}", call.reply);
    assert!(call.effects.iter().any(|effect| word(&effect[0]) == "HSET"));
    let once: BTreeSet<&String> = model.words.iter().collect();
    assert_eq!(once.len(), model.words.len());
}
