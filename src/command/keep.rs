//! `grantsim keep`: a violation's plan becomes one of those that the tests run.

use std::path::Path;

use clap::Args;
use grantsim::{
    drive::{self, Subject},
    finding::Finding,
    hunt::Exit,
    library::Library,
    property::{self, Violation, catalogue},
    report,
};

use super::{
    broken::{BreakArgs, Broken},
    terminal::print,
    values::plan_name,
};

#[derive(Args)]
pub(super) struct KeepArgs {
    #[command(flatten)]
    of: BreakArgs,
    /// What the plan is called: lower-case letters, digits and dashes.
    #[arg(long = "as", value_name = "NAME", value_parser = plan_name)]
    name: String,
    /// Keep the plan as it is.
    #[arg(long)]
    no_shrink: bool,
}

impl KeepArgs {
    /// Shrinks, keeps the plan and says what is left to do by hand.
    pub(super) fn run(&self) -> anyhow::Result<Exit> {
        let path = Path::new("fixtures/plans").join(&self.name).with_extension("json");
        let shown = path.display().to_string();
        anyhow::ensure!(
            !path.exists(),
            "{shown} is there already: keep the plan under another name, or remove that one"
        );
        let folder = path.parent().is_some_and(Path::is_dir);
        anyhow::ensure!(folder, "there is no fixtures/plans here: run this in the repository's root");
        let mut broken = self.of.find()?;
        if !self.no_shrink {
            let shrunk = self.of.shrink(&broken)?;
            print(&report::shrunk(&shrunk))?;
            broken.file.plan = shrunk.plan;
        }
        let Broken { file, fingerprint, .. } = &mut broken;
        file.about =
            format!("TODO: say what happens here, and why it matters. It was kept for {fingerprint}.");
        file.write(&path)?;
        print(&format!("plan       {shown}\n\n"))?;
        self.of.tell(&broken, &path)?;
        print(&format!(
            "\nkept as {shown}: finish its \"about\". From now on `cargo test --test regressions` runs it on the published \
             library.\n"
        ))?;
        print(&on_published(&self.name, &broken)?)?;
        Ok(Exit::AllHeld)
    }
}

/// What the test will say of a plan that was kept, where it is not that all is well.
fn on_published(name: &str, broken: &Broken) -> anyhow::Result<String> {
    let published = Subject::new(Library::published())?;
    let plan = &broken.file.plan;
    let trace = drive::run(plan, &published)?;
    let mut said = report::faults(Some(plan), &trace.faults);
    if !said.is_empty() {
        said += "that is so on the published library, and the test refuses it: take the fault out, or time it by a call\n";
    }
    let known = Finding::of(&published);
    for Violation { fingerprint, .. } in property::judge(&trace, catalogue::always()).violations {
        match known.iter().find(|finding| finding.covers(&fingerprint)) {
            Some(finding) => {
                let slug = &finding.slug;
                said += &format!(
                    "the published library itself breaks {fingerprint}: it is the known finding {slug} (see \
                     fixtures/findings/{slug})\n"
                );
            }
            None => said += &report::finding_folder(name, &fingerprint.to_string()),
        }
    }
    Ok(said)
}
