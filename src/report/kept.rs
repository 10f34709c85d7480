//! What is said of a shrink, and of a plan that is kept: how big it was and is, and what runs it from now on.

use crate::shrink::Shrunk;

/// Describes what came of a shrink, in a few lines.
pub fn shrunk(shrunk: &Shrunk) -> String {
    let Shrunk { runs, minimal, stopped, before, after, .. } = shrunk;
    let verdict = match (minimal, stopped) {
        (true, false) => "1-minimal: without any one of its parts it does not show the violation",
        (true, true) => {
            "1-minimal: without any one of its parts it does not show the violation; its numbers may get plainer with more \
             --runs or --for"
        }
        (false, _) => "not known to be 1-minimal: the budget ran out; go on with more --runs or --for",
    };
    format!("before     {before}\nafter      {after}\nruns       {runs}\nminimal    {verdict}\n")
}

/// What a finding's folder looks like, for a plan that breaks the published library itself.
pub fn finding_folder(name: &str, fingerprint: &str) -> String {
    format!(
        "the published library itself breaks this promise, so the test stays red until the plan is a finding:\n  \
         fixtures/findings/{name}/plan.json      the plan, moved from fixtures/plans\n  \
         fixtures/findings/{name}/finding.json   {{ \"slug\": \"{name}\", \"shows\": [{{ \"fingerprint\": \
         \"{fingerprint}\", \"plan\": \"plan.json\" }}], \"library\": \"flowfabric\", \"versions\": [\"34\"], \"about\": \
         \"what goes wrong and why\" }}\n  \
         src/finding.rs                          a line in FINDINGS: \"{name}\": \"plan.json\";\n"
    )
}
