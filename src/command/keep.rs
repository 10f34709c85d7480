//! `grantsim keep`: a violation's plan becomes one of those that the tests run.
//!
//! Where it goes: what the published library itself breaks, and is not known for, becomes a folder of `fixtures/findings`.
//! Every other plan goes to `fixtures/plans`, with the snapshot of its life on the published library, which is what the
//! tests run it on. `--into DIR` writes the plan alone, for the tests of another crate.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::Args;
use grantsim::{
    drive::{self, Subject},
    finding::{Finding, Shown},
    hunt::Exit,
    library::Library,
    plan::file::PlanFile,
    property::{self, Violation, catalogue},
    report,
};

use super::{
    broken::{BreakArgs, Broken, Ended},
    terminal::print,
    values::plan_name,
};

const PLANS: &str = "fixtures/plans";
const FINDINGS: &str = "fixtures/findings";
const SNAPSHOTS: &str = "tests/snapshots";

#[derive(Args)]
pub(super) struct KeepArgs {
    #[command(flatten)]
    of: BreakArgs,
    /// What the plan is called: lower-case letters, digits and dashes.
    #[arg(long = "as", value_name = "NAME", value_parser = plan_name)]
    name: String,
    /// Write the plan, and nothing else, to this folder: for the tests of your own crate.
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
    /// Keep the plan as it is.
    #[arg(long)]
    no_shrink: bool,
}

/// What is kept, and where.
enum Kept {
    /// A plan in a folder of the user's own.
    Own(PathBuf),
    /// A plan that the tests run on the published library, and the snapshot that they compare its life with.
    Plan(PathBuf, PathBuf),
    /// The folder of a finding.
    Finding(PathBuf),
}

impl KeepArgs {
    /// Shrinks, keeps the plan and says what is left to do by hand.
    pub(super) fn run(&self) -> anyhow::Result<Exit> {
        self.check_folder()?;
        let mut broken = self.of.find()?;
        let kept = self.place(&broken);
        kept.check()?;
        if !self.no_shrink {
            let Ended { shrunk, .. } = self.of.shrink(&mut broken, None)?;
            print(&report::shrunk(&shrunk))?;
        }
        let fingerprint = &broken.fingerprint;
        broken.file.about =
            format!("TODO: say what happens here, and why it matters. It was kept for {fingerprint}.");
        let plan = kept.plan();
        if let Kept::Finding(folder) = &kept {
            fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        broken.file.write(&plan)?;
        print(&format!("plan       {}\n\n", plan.display()))?;
        self.of.tell(&broken, &plan)?;
        print(&match &kept {
            Kept::Own(plan) => own(plan),
            Kept::Plan(plan, snapshot) => self.on_published(&broken.file, plan, snapshot)?,
            Kept::Finding(folder) => self.finding(&broken, folder)?,
        })?;
        Ok(Exit::AllHeld)
    }

    /// Whether there is a place for plans: better asked before the work than after it.
    fn check_folder(&self) -> anyhow::Result<()> {
        let folder = self.into.as_deref().unwrap_or(Path::new(PLANS));
        let advice = match &self.into {
            Some(_) => "make it first",
            None => "run this in the repository's root, or name a folder of yours with --into",
        };
        anyhow::ensure!(folder.is_dir(), "there is no folder {} here: {advice}", folder.display());
        Ok(())
    }

    fn place(&self, broken: &Broken) -> Kept {
        let file = format!("{}.json", self.name);
        if let Some(folder) = &self.into {
            return Kept::Own(folder.join(file));
        }
        let known = Finding::of(&broken.subject);
        let is_known = Finding::among(&known, &broken.fingerprint).is_some();
        if broken.subject.library.is_published() && !is_known {
            return Kept::Finding(Path::new(FINDINGS).join(&self.name));
        }
        let snapshot = format!("{}.snap", report::snapshot_name(&self.name));
        Kept::Plan(Path::new(PLANS).join(file), Path::new(SNAPSHOTS).join(snapshot))
    }

    /// Writes the snapshot, and says what the test will say of the plan where it is not that all is well.
    fn on_published(&self, file: &PlanFile, path: &Path, snapshot: &Path) -> anyhow::Result<String> {
        let published = Subject::new(Library::published())?;
        let trace = drive::run(&file.plan, &published)?;
        fs::create_dir_all(SNAPSHOTS)
            .and_then(|()| fs::write(snapshot, report::snapshot_file(&trace)))
            .with_context(|| format!("cannot write {}", snapshot.display()))?;
        let (plan, snapshot) = (path.display(), snapshot.display());
        let mut said = format!(
            "\nkept as {plan}: finish its \"about\". From now on `cargo test regressions::` runs it on the published \
             library, and compares its life with {snapshot}\n"
        );
        said += &report::faults(Some(&file.plan), &trace.faults);
        let known = Finding::of(&published);
        for Violation { fingerprint, .. } in property::judge(&trace, catalogue::promises()).violations {
            said += &match Finding::among(&known, &fingerprint) {
                Some(Finding { slug, .. }) => format!(
                    "the published library itself breaks {fingerprint}: it is the known finding {slug} (see {FINDINGS}/{slug})\n"
                ),
                None => format!(
                    "the published library itself breaks {fingerprint} by this plan, and the test stays red until that is a \
                     finding: grantsim keep {plan} --fingerprint {fingerprint} --as <what goes wrong>\n"
                ),
            };
        }
        Ok(said)
    }

    /// Writes what a finding's folder holds beside its plan.
    fn finding(&self, broken: &Broken, folder: &Path) -> anyhow::Result<String> {
        let Broken { file, subject, fingerprint } = broken;
        let finding = Finding {
            slug: self.name.clone(),
            shows: vec![Shown { fingerprint: fingerprint.clone(), plan: PLAN.to_owned(), versions: None }],
            library: subject.library.name().to_owned(),
            versions: vec![subject.library.version().to_owned()],
            about: file.about.clone(),
        };
        let path = folder.join("finding.json");
        fs::write(&path, finding.to_json()).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(format!(
            "\nkept as the finding {}: finish the \"about\" of {} and of its plan. The next build knows it, and `cargo test \
             findings::` runs it from then on.\n",
            folder.display(),
            path.display()
        ))
    }
}

/// A finding's only plan.
const PLAN: &str = "plan.json";

impl Kept {
    /// The file of the plan.
    fn plan(&self) -> PathBuf {
        match self {
            Kept::Own(plan) | Kept::Plan(plan, _) => plan.clone(),
            Kept::Finding(folder) => folder.join(PLAN),
        }
    }

    /// Nothing is overwritten.
    fn check(&self) -> anyhow::Result<()> {
        let paths = match self {
            Kept::Own(path) | Kept::Finding(path) => vec![path],
            Kept::Plan(plan, snapshot) => vec![plan, snapshot],
        };
        for path in paths {
            let shown = path.display();
            anyhow::ensure!(
                !path.exists(),
                "{shown} is there already: keep the plan under another name, or remove that one"
            );
        }
        Ok(())
    }
}

fn own(plan: &Path) -> String {
    format!(
        "\nkept as {}: finish its \"about\". A test of your own reads it with grantsim::plan::file::PlanFile::read and runs it \
         with grantsim::drive::run.\n",
        plan.display()
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use grantsim::{library::Mutant, plan::token::Token};

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        keep: KeepArgs,
    }

    fn broken(library: Library, fingerprint: &str) -> Broken {
        let file = PlanFile {
            about: "TODO: say it.".to_owned(),
            library: None,
            plan: Token::new("calm", 1).unwrap().plan(),
        };
        let fingerprint = fingerprint.parse().unwrap();
        Broken { file, subject: Subject::new(library).unwrap(), fingerprint }
    }

    const NEW: &str = "fence/ff_renew_lease/OK/stale-lease";

    #[test]
    fn what_the_published_library_breaks_is_a_finding_and_all_else_a_plan() {
        let keep = Line::parse_from(["keep", "TOKEN", "--as", "late"]).keep;
        let place = |library, fingerprint| keep.place(&broken(library, fingerprint));
        let published = Library::published();
        let mutant = published.mutant(&Mutant::all()[0]);
        let known = "fence/ff_renew_lease/OK/marked-lease";
        assert!(
            matches!(place(published.clone(), NEW), Kept::Finding(path) if path.ends_with("findings/late"))
        );
        assert!(matches!(place(published, known), Kept::Plan(..)));
        let Kept::Plan(plan, snapshot) = place(mutant, NEW) else { panic!("a mutant is no finding") };
        assert_eq!(plan, Path::new("fixtures/plans/late.json"));
        assert_eq!(snapshot, Path::new("tests/snapshots/kept-late.snap"));
    }

    #[test]
    fn a_finding_says_of_which_library_and_version_it_is_and_is_read_back() {
        let keep = Line::parse_from(["keep", "TOKEN", "--as", "late"]).keep;
        let folder = std::env::temp_dir().join(format!("grantsim-keep-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let published = Library::published();
        let said = keep.finding(&broken(published.clone(), NEW), &folder);
        let json = fs::read_to_string(folder.join("finding.json"));
        fs::remove_dir_all(&folder).unwrap();
        assert!(said.unwrap().contains("findings::"));
        let finding: Finding = serde_json::from_str(&json.unwrap()).unwrap();
        assert_eq!((finding.slug.as_str(), finding.about.as_str()), ("late", "TODO: say it."));
        assert_eq!(
            (finding.library.as_str(), finding.versions.as_slice()),
            (published.name(), &[published.version().to_owned()][..])
        );
        assert_eq!(
            finding.shows,
            [Shown { fingerprint: NEW.parse().unwrap(), plan: PLAN.to_owned(), versions: None }]
        );
    }
}
