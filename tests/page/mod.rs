//! A run as a page, looked at in a headless Chromium, and as a Mermaid diagram.
//!
//! Without a Chromium on the PATH these tests pass, and say what was not looked at.

mod browser;

use std::{fs, path::PathBuf};

use crate::common::{PUBLISHED, run};
use browser::Browser;
use grantsim::{
    drive::Subject,
    explore::{Exploration, Scope},
    finding::Finding,
    hunt::{Hunt, Stop, Until},
    library::{Library, Mutant},
    plan::{Execution, Plan, file::PlanFile, token::Token},
    property::{Entry, catalogue},
    report::{self, ReportFolder, Run},
    trace::{LaneName, Summary, Trace, What},
    types::ExecutionName,
};
use valkey_sim::engine::Reply;

const WIDE: (u32, u32) = (1440, 900);
const PHONE: (u32, u32) = (390, 844);

/// A run, and what it is judged with.
struct Shown {
    plan: Plan,
    trace: Trace,
    known: Vec<Finding>,
    properties: Vec<&'static Entry>,
}

impl Shown {
    fn of(plan: Plan, subject: &Subject) -> Self {
        let properties = catalogue::promises().collect();
        Self { trace: run(&plan, subject), plan, known: Finding::of(subject), properties }
    }

    /// Judged by one property only: the run may break others.
    fn judged_by(self, property: &str) -> Self {
        Self { properties: vec![catalogue::find(property).expect("a property")], ..self }
    }

    fn finding(slug: &str) -> Self {
        let path = format!("fixtures/findings/{slug}/plan.json");
        let plan = PlanFile::read(path.as_ref()).expect("a finding's plan").plan;
        let finding = Finding::all().into_iter().find(|finding| finding.slug == slug).expect("a finding");
        Self::of(plan, &PUBLISHED).judged_by(finding.shows[0].fingerprint.property().as_str())
    }

    fn told<T>(&self, tell: impl FnOnce(&Run<'_>) -> T) -> T {
        tell(&Run {
            trace: &self.trace,
            plan: Some(&self.plan),
            properties: &self.properties,
            executions: &[],
            known: &self.known,
            replay: "grantsim replay 'this plan'",
        })
    }

    /// Writes its page, under a name of its own.
    fn page(&self, name: &str) -> PathBuf {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.html"));
        fs::write(&path, self.told(|run| report::page(run, None))).expect("a temporary file");
        path
    }
}

/// The plan of a history that an exploration found, of a kind of violation that a mutant is there for.
fn explored(scope: &str, depth: usize, mutant: &str, property: &str) -> Shown {
    let mutant = Mutant::named(mutant).expect("a mutant");
    let subject = Subject::new(Library::published().mutant(&mutant)).expect("a mutant loads");
    let scope = Scope::named(scope).expect("a scope");
    let exploration = Exploration { depth, budget: 1, ..Exploration::new(subject.clone(), scope) };
    let report = exploration.run(&false.into(), &|_| {}).expect("it can be explored");
    let mut found = report.counterexamples.into_iter();
    let found = found.find(|one| one.fingerprint.property().as_str() == property).expect("it is found");
    Shown::of(found.plan, &subject).judged_by(property)
}

/// A run in which a library without its fence lets a former owner renew; many executions, crashes, renewals.
fn without_fence() -> Shown {
    let mutant = Mutant::named("no-fence").expect("a mutant");
    let subject = Subject::new(Library::published().mutant(&mutant)).expect("a mutant loads");
    Shown::of(Token::new("crash", 3).expect("a profile").plan(), &subject)
}

const FRAME: &str = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))";

#[test]
fn a_page_loads_without_an_error_and_shows_the_violation_on_a_wide_screen_and_on_a_phone() {
    let Some(mut browser) = Browser::start("whether a page loads and shows the violation") else { return };
    for slug in ["cancel-from-a-former-owner", "renewal-of-a-marked-lease", "eligible-in-the-delayed-set"] {
        let path = Shown::finding(slug).page(slug);
        for (size, is_dark) in [(WIDE, false), (PHONE, true)] {
            browser.open(&path, size, is_dark);
            assert_eq!(browser.errors, [""; 0], "{slug}");
            let about = format!("{slug} at {size:?}");
            let message = "document.querySelector('h1').textContent === grantsim.violations[0].message";
            assert_eq!(browser.js(message), true, "{about}: the headline");
            let text = browser.js("document.getElementById('broken').textContent").to_string();
            for part in ["Must hold: ", slug, "grantsim replay 'this plan'"] {
                assert!(text.contains(part), "{about}: the head does not say {part:?}: {text}");
            }
            // In the picture it is marked, and in view.
            let mark = "(() => { const at = grantsim.violations[0].at;
                const mark = grantsim.drawn.marks.find(mark => grantsim.events[mark.i].s === at);
                return mark !== undefined && mark.x > 80 && mark.x < innerWidth; })()";
            assert_eq!(browser.js(mark), true, "{about}: the violation's sign is not in view");
            // In the list it is marked, chosen, and scrolled to; the detail says what was called.
            let row = "(() => { const row = document.querySelector('#list .broken[aria-selected=true]');
                const top = row.offsetTop - row.parentElement.scrollTop;
                return top >= 0 && top < row.parentElement.clientHeight; })()";
            assert_eq!(browser.js(row), true, "{about}: the violation's line is not in view");
            let detail = browser.js("document.getElementById('detail').textContent").to_string();
            for part in ["KEYS (", "ARGV (", "Reply", "Writes, as Valkey"] {
                assert!(detail.contains(part), "{about}: the detail does not say {part:?}: {detail}");
            }
            assert_eq!(
                browser.js("document.documentElement.scrollWidth <= innerWidth"),
                true,
                "{about}: too wide"
            );
        }
    }
}

#[test]
fn a_page_shows_what_an_exploration_found() {
    let Some(mut browser) = Browser::start("whether a page shows what was explored") else { return };
    for (scope, depth, mutant, property) in [
        ("one", 2, "claim-without-grant", "expiry"),
        ("claim", 17, "stale-grant", "expiry"),
        ("claim", 28, "no-fence", "fence"),
    ] {
        let about = format!("{mutant} in {scope}");
        browser.open(
            &explored(scope, depth, mutant, property).page(&format!("explored-{scope}-{mutant}")),
            WIDE,
            false,
        );
        assert_eq!(browser.errors, [""; 0], "{about}");
        let message = "document.querySelector('h1').textContent === grantsim.violations[0].message";
        assert_eq!(browser.js(message), true, "{about}: the headline");
        let mark = "(() => { const at = grantsim.violations[0].at;
            const mark = grantsim.drawn.marks.find(mark => grantsim.events[mark.i].s === at);
            return mark !== undefined && mark.x > 80 && mark.x < innerWidth; })()";
        assert_eq!(browser.js(mark), true, "{about}: the violation's sign is not in view");
    }
}

#[test]
fn a_page_is_filtered_by_execution_by_what_matters_and_by_words() {
    let Some(mut browser) = Browser::start("whether a page filters") else { return };
    browser.open(&without_fence().page("filters"), WIDE, false);
    let shown = "grantsim.shown.events.length";
    // The violation itself is shown whatever is chosen.
    let is_ours = "grantsim.shown.events.every(i => { const event = grantsim.events[i];
        return (event.x || []).includes(grantsim.view.execution) || event.k === 'fault'
            || event.s === grantsim.violations[grantsim.view.violation].at; })";
    let first = browser.js(shown).as_u64().expect("a count");
    assert!((10..200).contains(&first), "{first} events are shown at first");
    assert_eq!(browser.js(is_ours), true, "the violation's own execution is shown at first");
    let choose = |x: i32| {
        format!(
            "(() => {{ const select = document.getElementById('execution'); select.value = '{x}';
             select.dispatchEvent(new Event('change')); return {shown}; }})()"
        )
    };
    let mattering = browser.js(&choose(-1)).as_u64().expect("a count");
    browser.js("document.getElementById('matters').click()");
    let all = browser.js("grantsim.shown.events.length === grantsim.events.length");
    assert_eq!(all, true, "nothing is left out when nothing is filtered");
    assert!(first < mattering && mattering < browser.js(shown).as_u64().expect("a count"));
    let another = browser.js(&choose(0)).as_u64().expect("a count");
    assert!(another > 5, "another execution has events, too");
    assert_eq!(browser.js(is_ours), true, "only the chosen execution is shown");
    browser.js(&choose(-1));
    browser.key("/");
    for letter in "stands still".chars() {
        browser.key(&letter.to_string());
    }
    let found = "grantsim.shown.events.length > 0 && grantsim.shown.events.every(i => grantsim.events[i].text.includes('stands still'))";
    assert_eq!(browser.js(found), true, "the words are searched for");
    assert_eq!(browser.errors, [""; 0]);
}

#[test]
fn the_theme_is_the_systems_until_the_reader_chooses() {
    let Some(mut browser) = Browser::start("whether a page has a light and a dark theme") else { return };
    let path = Shown::finding("renewal-of-a-marked-lease").page("theme");
    let is_dark = "getComputedStyle(document.body).backgroundColor === 'rgb(19, 21, 24)'";
    // The middle of the name column, left of the first lane's name, is a pixel of the picture's ground.
    let picture = "(() => { const canvas = document.getElementById('canvas');
        return canvas.getContext('2d').getImageData(2, 60, 1, 1).data[0] < 90; })()";
    for system in [false, true] {
        browser.open(&path, WIDE, system);
        browser.js("localStorage.clear(); delete document.documentElement.dataset.theme;");
        browser.open(&path, WIDE, system);
        assert_eq!(
            (browser.js(is_dark), browser.js(picture)),
            (system.into(), system.into()),
            "as the system is"
        );
        browser.js("document.getElementById('theme').click()");
        browser.js(FRAME);
        assert_eq!(
            (browser.js(is_dark), browser.js(picture)),
            ((!system).into(), (!system).into()),
            "as was chosen"
        );
    }
    assert_eq!(browser.errors, [""; 0]);
}

#[test]
fn every_key_does_what_the_page_says() {
    let Some(mut browser) = Browser::start("whether a page can be used by keys") else { return };
    browser.open(&without_fence().page("keys"), WIDE, false);
    browser.js("document.getElementById('stage').focus()");
    let place = "grantsim.view.selected < 0 ? -1 : grantsim.shown.events.indexOf(grantsim.view.selected)";
    let at = |browser: &mut Browser| browser.js(place).as_i64().expect("a place");
    let start = at(&mut browser);
    browser.key("ArrowRight");
    assert_eq!(at(&mut browser), start + 1);
    browser.key("ArrowLeft");
    browser.key("ArrowLeft");
    assert_eq!(at(&mut browser), start - 1);
    let lane = "grantsim.events[grantsim.view.selected].n";
    let before = browser.js(lane);
    browser.key("ArrowUp");
    assert!(at(&mut browser) < start - 1);
    assert_eq!(browser.js(lane), before, "up and down stay within a lane");
    let scale = |browser: &mut Browser| browser.js("grantsim.view.scale").as_f64().expect("a number");
    let whole = scale(&mut browser);
    browser.key("+");
    assert!(scale(&mut browser) > whole);
    browser.key("0");
    browser.key("v");
    assert_eq!(at(&mut browser), start, "v goes to the violation");
    browser.key("Escape");
    assert_eq!(at(&mut browser), -1, "Escape lets go");
    browser.key("/");
    assert_eq!(browser.js("document.activeElement.id"), "find");
    browser.key("Escape");
    // The list has the same keys, and tells a screen reader which event is meant.
    browser.js("document.getElementById('list').focus()");
    browser.key("Home");
    browser.key("ArrowDown");
    assert_eq!(at(&mut browser), 1);
    let told = "document.getElementById(document.getElementById('list').getAttribute('aria-activedescendant')).textContent
        .includes(grantsim.events[grantsim.view.selected].text)";
    assert_eq!(browser.js(told), true);
    assert_eq!(browser.errors, [""; 0]);
}

#[test]
fn an_events_sign_can_be_clicked() {
    let Some(mut browser) = Browser::start("whether a page can be used by a pointer") else { return };
    browser.open(&Shown::finding("cancel-from-a-former-owner").page("pointer"), WIDE, false);
    let mark =
        browser.js("(() => { const mark = grantsim.drawn.marks.find(mark => grantsim.events[mark.i].call);
         const frame = document.getElementById('canvas').getBoundingClientRect();
         return [mark.x + frame.left, mark.y + frame.top, mark.i]; })()");
    let number = |i: usize| mark[i].as_f64().expect("a number");
    browser.click(number(0), number(1));
    assert_eq!(browser.js("grantsim.view.selected"), mark[2]);
    let tip = browser.js("document.getElementById('tip').textContent").to_string();
    assert!(tip.contains("ff_create_execution"), "{tip}");
    assert_eq!(browser.errors, [""; 0]);
}

/// Ten thousand events and more: the executions of a plan many times over, one batch after the other.
fn ten_thousand_events() -> Shown {
    let mut plan = Token::new("calm", 1).expect("a profile").plan();
    let batch: Vec<Execution> = plan.executions.clone();
    for round in 1_u64..400 {
        let again = batch.iter().map(|execution| Execution {
            name: format!("{}-{round}", execution.name).parse::<ExecutionName>().expect("a name"),
            at_ms: execution.at_ms + round * 600,
            ..execution.clone()
        });
        plan.executions.extend(again);
        plan.run_for_ms = 400_000;
        if plan.executions.len() > 480 {
            break;
        }
    }
    let shown = Shown::of(plan, &PUBLISHED).judged_by("fence");
    assert!(shown.trace.events.len() >= 10_000, "only {} events", shown.trace.events.len());
    shown
}

#[test]
fn ten_thousand_events_cost_no_more_than_the_screen_has_room_for() {
    let Some(mut browser) = Browser::start("whether ten thousand events stay smooth") else { return };
    let path = ten_thousand_events().page("ten-thousand");
    let size = fs::metadata(&path).expect("it was written").len();
    browser.open(&path, WIDE, false);
    browser.js("document.getElementById('matters').checked && document.getElementById('matters').click()");
    let events = browser.js("grantsim.shown.events.length").as_u64().expect("a count");
    assert!(events >= 10_000, "{events} events are shown");
    // Zooms in from the whole run to single events, and pans and scrolls at each step.
    let most = browser.js("(() => { let most = 0, last = 0, slowest = 0;
         grantsim.fit();
         for (let zoom = 0; zoom < 15; zoom++) {
           for (const down of [0, 1]) {
             // The executions first, then the processes' lanes below them.
             scrollTo(0, down * document.getElementById('stage').offsetHeight);
             dispatchEvent(new Event('scroll'));
             for (const along of [0, 0.3, 0.6, 0.9]) {
               grantsim.view.left = grantsim.shown.width * along;
               grantsim.draw();
               last = grantsim.drawn.count;
               most = Math.max(most, last);
               slowest = Math.max(slowest, grantsim.drawn.milliseconds);
             }
           }
           grantsim.zoom(2.25);
         }
         return [most, last, document.querySelectorAll('*').length, slowest]; })()");
    println!(
        "{events} events, a page of {size} bytes: at most {most} [drawn, drawn at the end, elements, milliseconds]"
    );
    let count = |i: usize| most[i].as_u64().expect("a count");
    assert!((1_000..5_000).contains(&count(0)), "{} things are drawn in one frame", count(0));
    assert!(count(1) < 200, "{} things are drawn where single events are in view", count(1));
    assert!(count(2) < 2_000, "the page has {} elements", count(2));
    // The canvas is no taller than the window, however many executions there are.
    assert_eq!(browser.js("document.getElementById('canvas').height <= innerHeight"), true);
    assert_eq!(browser.errors, [""; 0]);
}

const HOSTILE: &str = "</script><img src=x onerror=window.ranByItself=1><b>bold</b>\u{2028}{{script}}";

/// A run whose library, lanes and workers have names that are markup.
fn hostile() -> Shown {
    let mut shown = Shown::finding("cancel-from-a-former-owner");
    for event in &mut shown.trace.events {
        match &mut event.what {
            What::Executed(executed) => {
                if let Reply::Array(items) = &mut executed.reply {
                    items.push(Reply::bulk(HOSTILE));
                }
                for word in &mut executed.args {
                    if word.as_slice() == b"w1" || word.as_slice() == b"gold" {
                        *word = HOSTILE.as_bytes().to_vec();
                    }
                }
            }
            What::MessageSent { message: Summary::Ask { lane }, .. } => *lane = LaneName(HOSTILE.to_owned()),
            _ => {}
        }
    }
    shown.trace.header.library.name = HOSTILE.to_owned();
    shown
}

#[test]
fn what_a_library_wrote_is_text_and_nothing_else() {
    let shown = hostile();
    let html = shown.told(|run| report::page(run, None));
    assert!(!html.contains("<img") && !html.contains("<b>bold"), "markup of a library is in the page");
    let Some(mut browser) = Browser::start("whether a library's markup stays text in a browser") else {
        return;
    };
    browser.open(&shown.page("hostile"), WIDE, false);
    browser.js("document.getElementById('matters').click()");
    // Every event is chosen once, so that every text was on the page.
    let seen = browser.js("(() => { let seen = false;
         grantsim.events.forEach((_, i) => { grantsim.show(i);
           seen = seen || document.getElementById('detail').textContent.includes('<img src=x onerror'); });
         return seen; })()");
    assert_eq!(seen, true, "the hostile text is shown as it is");
    assert_eq!(browser.js("document.querySelectorAll('img, #detail b, #list .what b:not(.flag)').length"), 0);
    assert_eq!(browser.js("window.ranByItself === undefined"), true, "a library's script ran");
    assert_eq!(browser.errors, [""; 0]);
    // The page's policy is the second wall: even markup that got in could do nothing.
    browser.js("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=window.ranByItself=1>')");
    browser.js(FRAME);
    assert_eq!(browser.js("window.ranByItself === undefined"), true, "the policy lets a handler run");
}

#[test]
fn the_index_of_a_hunt_loads_and_leads_to_a_page_and_back() {
    let mutant = Mutant::named("no-fence").expect("a mutant");
    let hunt = Hunt::new(
        Subject::new(Library::published().mutant(&mutant)).expect("a mutant loads"),
        Token::new("crash", 0).expect("a profile"),
        Until::Seeds(12),
    );
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("a hunt's folder");
    let report = hunt.run(&Stop::default(), |_| {});
    assert_eq!(report.errors, []);
    ReportFolder::new(&folder, &hunt, |token| format!("grantsim replay {token}"))
        .finish(&report)
        .expect("a folder that can be written");
    let Some(mut browser) = Browser::start("whether the index of a hunt loads") else { return };
    for size in [WIDE, PHONE] {
        browser.open(&folder.join("index.html"), size, false);
        assert_eq!(browser.errors, [""; 0]);
        let text = browser.js("document.body.innerText").to_string();
        for part in ["States reached", "Functions: ", "ff_claim_execution", &report.violations[0].token] {
            assert!(text.contains(part), "the index does not say {part}: {text}");
        }
        assert_eq!(
            browser.js("document.documentElement.scrollWidth <= innerWidth"),
            true,
            "too wide at {size:?}"
        );
        let links = browser.js("document.querySelectorAll('.card a').length");
        assert_eq!(links.as_u64(), Some(report.violations.len() as u64));
    }
    browser.js("document.querySelector('.card a').click()");
    browser.wait_until("location.pathname.includes('fence.') && document.readyState === 'complete'");
    assert_eq!(browser.js("document.getElementById('back').hidden"), false, "a page of a folder links back");
    assert_eq!(browser.errors, [""; 0]);
}

#[test]
fn a_finding_is_a_sequence_diagram() {
    let diagram = |slug: &str| Shown::finding(slug).told(|run| report::mermaid(run, None));
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("renewal-of-a-marked-lease", diagram("renewal-of-a-marked-lease"));
        insta::assert_snapshot!("cancel-from-a-former-owner", diagram("cancel-from-a-former-owner"));
    });
}

#[test]
fn a_diagram_of_a_long_life_is_small_enough_for_a_pull_request_and_says_what_it_leaves_out() {
    let long = Shown { known: Vec::new(), ..ten_thousand_events() };
    let diagram = long.told(|run| report::mermaid(run, None));
    assert!(
        diagram.len() < 50_000,
        "GitHub draws diagrams of up to 50,000 characters; this has {}",
        diagram.len()
    );
    assert!(diagram.contains("earlier steps left out"), "{diagram}");
    let hostile = hostile().told(|run| report::mermaid(run, None));
    assert!(hostile.contains("‹img src=x") && !hostile.contains(['<', ';', '#']), "{hostile}");
}
