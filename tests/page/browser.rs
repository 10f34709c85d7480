//! A headless Chromium, spoken to over its pipe: no port, no socket, and it ends with the tests. Each test has windows of its
//! own, which know nothing of another's: to start it takes longer than most of them.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
        mpsc::{Receiver, channel},
    },
    thread,
    time::Duration,
};

use serde_json::{Value, json};

/// How long the browser may take for one answer. It is killed after that: a bound for a browser that hangs, not a measure.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often a page is asked, at most, whether it has come to where it should: for 20 seconds.
const WAITS: u32 = 400;

/// The names that it is installed under.
const NAMES: &[&str] = &["chromium", "chromium-browser", "google-chrome"];

/// Those that no test uses now. With the process that runs the tests, they end.
static IDLE: Mutex<Vec<Process>> = Mutex::new(Vec::new());

/// A browser with one open page.
pub struct Browser {
    /// None once it is given back.
    process: Option<Process>,
    /// What its pages share, and no other's.
    context: Value,
    session: Option<String>,
    /// What the page logged as errors, and what it threw.
    pub errors: Vec<String>,
}

/// A browser's process, and the pipe to it.
struct Process {
    /// A shell, which clears away when the browser has ended.
    shell: Child,
    profile: PathBuf,
    requests: ChildStdin,
    messages: Receiver<Value>,
    next: u64,
}

impl Process {
    fn start(program: PathBuf) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let profile = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("browser-{}-{count}", std::process::id()));
        // The browser reads requests from descriptor 3, to whose end it lives, and writes answers to 4.
        let mut shell = Command::new("sh")
            .args(["-c", r#"profile=$1; shift; "$@" "--user-data-dir=$profile" 3<&0 4>&1 0</dev/null 1>&2; rm -rf "$profile""#])
            .arg("sh")
            .arg(&profile)
            .arg(program)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
                "--disable-dev-shm-usage",
            ])
            .args(["--hide-scrollbars", "--remote-debugging-pipe"])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        let requests = shell.stdin.take().expect("it is piped");
        let mut answers = BufReader::new(shell.stdout.take().expect("it is piped"));
        let (sender, messages) = channel();
        thread::spawn(move || {
            let mut bytes = Vec::new();
            while answers.read_until(0, &mut bytes).is_ok_and(|count| count > 0) {
                bytes.pop();
                let message = serde_json::from_slice(&bytes).expect("the browser speaks JSON");
                if sender.send(message).is_err() {
                    return;
                }
                bytes.clear();
            }
        });
        Self { shell, profile, requests, messages, next: 0 }
    }
}

impl Browser {
    /// A browser, where there is one. Where there is none, says what was not looked at; with GRANTSIM_REQUIRE_BROWSER set
    /// that is a failure.
    pub fn start(looked_at: &str) -> Option<Self> {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&paths)
            .flat_map(|folder| NAMES.iter().map(move |name| folder.join(name)))
            .find(|path| path.is_file());
        let Some(program) = found else {
            let missing = format!("no {} on the PATH: not looked at: {looked_at}", NAMES.join(", "));
            assert!(std::env::var_os("GRANTSIM_REQUIRE_BROWSER").is_none(), "{missing}");
            println!("{missing}");
            return None;
        };
        let idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let process = Some(idle.unwrap_or_else(|| Process::start(program)));
        let mut browser = Self { process, context: Value::Null, session: None, errors: Vec::new() };
        browser.context = browser.call("Target.createBrowserContext", json!({}))["browserContextId"].take();
        let page = json!({ "url": "about:blank", "browserContextId": browser.context });
        let target = browser.call("Target.createTarget", page);
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", attach);
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    /// Opens a page in a window of this size, under a light or a dark system.
    pub fn open(&mut self, path: &std::path::Path, (width, height): (u32, u32), is_dark: bool) {
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.call("Emulation.setDeviceMetricsOverride", metrics);
        let scheme = if is_dark { "dark" } else { "light" };
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.call("Emulation.setEmulatedMedia", features);
        self.call("Page.navigate", json!({ "url": format!("file://{}", path.display()) }));
        self.js(
            "new Promise(done => { const look = () => document.readyState === 'complete' && location.protocol === 'file:' \
             ? requestAnimationFrame(() => requestAnimationFrame(done)) : setTimeout(look, 10); look(); })",
        );
    }

    /// Evaluates an expression in the page; waits for it if it is a promise.
    #[track_caller]
    pub fn js(&mut self, expression: &str) -> Value {
        let evaluate = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.call("Runtime.evaluate", evaluate);
        assert!(answer["exceptionDetails"].is_null(), "{expression}\n{}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    /// Waits until an expression is true of the page, which may be another one by then.
    #[track_caller]
    #[expect(clippy::disallowed_methods, reason = "a browser takes real time")]
    pub fn wait_until(&mut self, expression: &str) {
        let is_true = (0..WAITS).any(|_| {
            thread::sleep(Duration::from_millis(50));
            self.js(expression) == true
        });
        assert!(is_true, "it never is: {expression}");
    }

    /// Presses a key, as a person does.
    pub fn key(&mut self, key: &str) {
        let text = if key.chars().count() == 1 { key } else { "" };
        for kind in ["keyDown", "keyUp"] {
            self.call("Input.dispatchKeyEvent", json!({ "type": kind, "key": key, "text": text }));
        }
    }

    /// Moves the mouse there and clicks.
    pub fn click(&mut self, x: f64, y: f64) {
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            let at = json!({ "type": kind, "x": x, "y": y, "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", at);
        }
    }

    #[track_caller]
    fn call(&mut self, method: &str, params: Value) -> Value {
        let process = self.process.as_mut().expect("it is given back last");
        process.next += 1;
        let mut request = json!({ "id": process.next, "method": method, "params": params });
        if let Some(session) = &self.session {
            request["sessionId"] = json!(session);
        }
        let mut bytes = serde_json::to_vec(&request).expect("a request is plain");
        bytes.push(0);
        process.requests.write_all(&bytes).expect("the browser listens");
        loop {
            let message = process
                .messages
                .recv_timeout(PATIENCE)
                .unwrap_or_else(|error| panic!("the browser does not answer {method}: {error}"));
            let params = &message["params"];
            let is_error = match message["method"].as_str() {
                Some("Runtime.exceptionThrown") => true,
                Some("Log.entryAdded") => params["entry"]["level"] == "error",
                Some("Runtime.consoleAPICalled") => params["type"] == "error",
                _ => false,
            };
            if is_error && message["sessionId"].as_str() == self.session.as_deref() {
                self.errors.push(params.to_string());
            }
            if message["id"] == process.next {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
        }
    }
}

impl Drop for Browser {
    /// Closes the windows and gives the browser to the next; after a failure it is killed.
    fn drop(&mut self) {
        if thread::panicking() {
            return;
        }
        self.session = None;
        let context = self.context.take();
        self.call("Target.disposeBrowserContext", json!({ "browserContextId": context }));
        IDLE.lock().unwrap_or_else(PoisonError::into_inner).extend(self.process.take());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let group = format!("-{}", self.shell.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.shell.wait();
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}
