//! A headless Chromium, spoken to over its pipe: no port, no socket, and it ends with the test.

use std::{
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
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

/// A browser with one open page.
pub struct Browser {
    process: Child,
    requests: ChildStdin,
    messages: Receiver<Value>,
    session: Option<String>,
    next: u64,
    profile: PathBuf,
    /// What the page logged as errors, and what it threw.
    pub errors: Vec<String>,
}

impl Browser {
    /// Starts a browser, where there is one. Where there is none, says what was not looked at; with
    /// GRANTSIM_REQUIRE_BROWSER set that is a failure.
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
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let profile = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("browser-{}-{count}", std::process::id()));
        // The browser reads requests from descriptor 3 and writes answers to 4.
        let mut process = Command::new("sh")
            .args(["-c", r#"exec "$0" "$@" 3<&0 4>&1 0</dev/null 1>&2"#])
            .arg(program)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
                "--disable-dev-shm-usage",
            ])
            .args(["--hide-scrollbars", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        let requests = process.stdin.take().expect("it is piped");
        let mut answers = BufReader::new(process.stdout.take().expect("it is piped"));
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
        let mut browser =
            Self { process, requests, messages, session: None, next: 0, profile, errors: Vec::new() };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
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
        self.next += 1;
        let mut request = json!({ "id": self.next, "method": method, "params": params });
        if let Some(session) = &self.session {
            request["sessionId"] = json!(session);
        }
        let mut bytes = serde_json::to_vec(&request).expect("a request is plain");
        bytes.push(0);
        self.requests.write_all(&bytes).expect("the browser listens");
        loop {
            let message = self
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
            if is_error {
                self.errors.push(params.to_string());
            }
            if message["id"] == self.next {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}
