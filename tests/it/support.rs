//! Running the real binary in a temporary folder, and the tools it is held against.

use crate::plain::{self, File};
use serde_json::Value;
use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// After this a run counts as hung.
const HUNG: Duration = Duration::from_secs(240);

/// Exit statuses of the contract.
pub(crate) const WHOLE: i32 = 0;
pub(crate) const FAILED: i32 = 1;
pub(crate) const WRONG_REQUEST: i32 = 2;
pub(crate) const NONE_MATCHED: i32 = 3;
pub(crate) const NOT_WHOLE: i32 = 4;

/// What a run gave.
#[derive(Debug)]
pub(crate) struct Output {
    /// The exit status; -1 after a signal.
    pub(crate) status: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Output {
    /// The same, with the status checked.
    #[track_caller]
    pub(crate) fn expect(self, status: i32) -> Self {
        assert_eq!(self.status, status, "exit status; standard error was:\n{}", self.stderr);
        self
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout)
            .unwrap_or_else(|e| panic!("{e} in {}\n{}", String::from_utf8_lossy(&self.stdout), self.stderr))
    }

    /// Standard error is one line (and not a panic's).
    #[track_caller]
    pub(crate) fn one_line(&self) -> &str {
        let text = self.stderr.trim_end();
        assert!(!text.is_empty() && !text.contains('\n'), "one clear line, not:\n{text}");
        assert!(!text.contains("panicked"), "{text}");
        text
    }
}

/// The binary under test, with its surroundings made plain.
pub(crate) fn taploop() -> Command {
    let mut c = Command::new(env!("CARGO_BIN_EXE_taploop"));
    c.env_remove("RUST_LOG").env("NO_COLOR", "1").env("RUST_BACKTRACE", "0");
    c
}

/// Runs a command to its end, with `input` on standard input.
pub(crate) fn run_with(mut command: Command, input: &[u8]) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let (mut stdin, mut stdout, mut stderr) =
        (child.stdin.take().unwrap(), child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let input = input.to_vec();
    let pid = rustix::process::Pid::from_child(&child);
    let (done, watched) = mpsc::channel::<()>();
    let what = format!("{command:?}");
    let watch = std::thread::spawn(move || {
        let hung = watched.recv_timeout(HUNG).is_err_and(|e| e == mpsc::RecvTimeoutError::Timeout);
        if hung {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        hung
    });
    // A reader that goes away early is no fault of the test.
    let feed = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let errors = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = stderr.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    });
    let mut out = Vec::new();
    let _ = stdout.read_to_end(&mut out);
    let stderr = errors.join().unwrap();
    let status = child.wait().unwrap();
    drop(done);
    assert!(!watch.join().unwrap(), "hung: {what}\n{stderr}");
    feed.join().unwrap();
    assert!(!stderr.contains("panicked at"), "{what} panicked:\n{stderr}");
    Output { status: status.code().unwrap_or(-1), stdout: out, stderr }
}

pub(crate) fn run<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Output {
    let mut c = taploop();
    c.args(args);
    run_with(c, &[])
}

/// A data folder that is gone after the test.
pub(crate) struct Data {
    dir: TempDir,
}

/// A cut: the whole run, its packets and its coverage.
pub(crate) struct Cut {
    pub(crate) status: i32,
    pub(crate) bytes: Vec<u8>,
    pub(crate) file: File,
    pub(crate) coverage: Value,
    pub(crate) stderr: String,
}

impl Cut {
    /// The typed reasons that the coverage gives, wherever they stand in it.
    pub(crate) fn reasons(&self) -> Vec<String> {
        let mut found = Vec::new();
        gather(&self.coverage, "reason", &mut |v| found.extend(v.as_str().map(str::to_owned)));
        gather(&self.coverage, "reasons", &mut |v| {
            for x in v.as_array().into_iter().flatten() {
                found.extend(x.as_str().map(str::to_owned));
            }
        });
        found.sort();
        found.dedup();
        found
    }

    #[track_caller]
    pub(crate) fn expect(self, status: i32) -> Self {
        assert_eq!(self.status, status, "exit status; coverage {}; standard error:\n{}", self.coverage, self.stderr);
        self
    }
}

/// Calls `f` for each value of `key`, however deep.
pub(crate) fn gather(v: &Value, key: &str, f: &mut impl FnMut(&Value)) {
    match v {
        Value::Object(map) => {
            for (k, inner) in map {
                if k == key {
                    f(inner);
                }
                gather(inner, key, f);
            }
        }
        Value::Array(list) => list.iter().for_each(|inner| gather(inner, key, f)),
        _ => {}
    }
}

/// One ring as `rings --json` tells it.
#[derive(Debug)]
pub(crate) struct Ring {
    pub(crate) interface: String,
    pub(crate) packets: u64,
    pub(crate) segments: u64,
    pub(crate) json: Value,
}

impl Data {
    pub(crate) fn new() -> Self {
        Data { dir: tempfile::Builder::new().prefix("taploop-it-").tempdir().unwrap() }
    }

    /// The same, where any user may write.
    pub(crate) fn for_anyone() -> Self {
        use std::os::unix::fs::PermissionsExt;
        let data = Data::new();
        std::fs::set_permissions(data.outside(), std::fs::Permissions::from_mode(0o777)).unwrap();
        data
    }

    /// The folder around the data, for other files of the test.
    pub(crate) fn outside(&self) -> &Path {
        self.dir.path()
    }

    /// The data folder.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Writes a file beside the data folder.
    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// A command of the binary on this data folder: `words` before, `--data` and the rest after.
    pub(crate) fn command(&self, words: &[&str], rest: &[&str]) -> Command {
        let mut c = taploop();
        c.args(words).arg("--data").arg(self.path()).args(rest).current_dir(self.dir.path());
        c
    }

    pub(crate) fn run(&self, words: &[&str], rest: &[&str]) -> Output {
        run_with(self.command(words, rest), &[])
    }

    pub(crate) fn import_with(&self, flags: &[&str], files: &[&Path]) -> Output {
        let mut c = self.command(&["import"], flags);
        c.args(files);
        run_with(c, &[])
    }

    pub(crate) fn import(&self, files: &[&Path]) -> Output {
        self.import_with(&[], files)
    }

    /// Imports a capture of the test's own making, which must go well.
    #[track_caller]
    pub(crate) fn take(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.file(name, bytes);
        self.import(&[&path]).expect(WHOLE);
        path
    }

    /// Cuts, with the capture on standard output and the coverage in a file.
    pub(crate) fn cut<S: AsRef<OsStr>>(&self, selection: &[S]) -> Cut {
        // Cuts of one test may run side by side.
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let n = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let coverage = self.dir.path().join(format!("coverage-{n}.json"));
        let mut c = self.command(&["cut"], &[]);
        c.args(selection).arg("-w").arg("-").arg("--coverage").arg(&coverage);
        let what = format!("{c:?}");
        let out = run_with(c, &[]);
        assert!(
            [WHOLE, NONE_MATCHED, NOT_WHOLE].contains(&out.status),
            "a cut ended with {}: {what}\n{}",
            out.status,
            out.stderr
        );
        let text = std::fs::read(&coverage).unwrap_or_else(|e| panic!("no coverage: {e}\n{what}\n{}", out.stderr));
        let _ = std::fs::remove_file(&coverage);
        let file = plain::parse(&out.stdout).unwrap_or_else(|| panic!("no capture: {what}\n{}", out.stderr));
        assert_eq!(file.damage, None, "{what}");
        assert_eq!(out.status == NONE_MATCHED, file.packets.is_empty(), "status 3 means no packet: {what}\n{}", out.stderr);
        Cut { status: out.status, file, coverage: serde_json::from_slice(&text).unwrap(), stderr: out.stderr, bytes: out.stdout }
    }

    /// Everything that is held.
    pub(crate) fn cut_all(&self) -> Cut {
        self.cut::<&str>(&[])
    }

    pub(crate) fn rings(&self) -> Vec<Ring> {
        let out = self.run(&["rings"], &["--json"]);
        assert_eq!(out.status, WHOLE, "{}", out.stderr);
        rings_of(&out.json())
    }

    /// The packet files of all rings, sorted.
    pub(crate) fn packet_files(&self) -> Vec<PathBuf> {
        let mut all: Vec<_> = self.ring_files().into_iter().filter(|p| p.extension() == Some(OsStr::new("pcapng"))).collect();
        all.sort();
        all
    }

    /// The files in the rings' folders that are not packet files and not empty: indices, published and sealed.
    pub(crate) fn index_files(&self) -> Vec<PathBuf> {
        let mut all: Vec<_> = self
            .ring_files()
            .into_iter()
            .filter(|p| {
                let name = p.file_name().unwrap().to_string_lossy().into_owned();
                p.extension() != Some(OsStr::new("pcapng")) && name.contains('.') && !name.contains("lock")
            })
            .filter(|p| std::fs::metadata(p).is_ok_and(|m| m.len() > 0))
            // An index stands beside its packet file and shares its stem.
            .filter(|p| p.with_extension("pcapng").exists())
            .collect();
        all.sort();
        all
    }

    fn ring_files(&self) -> Vec<PathBuf> {
        let list = |p: &Path| -> Vec<PathBuf> {
            std::fs::read_dir(p).map(|d| d.filter_map(|e| e.ok().map(|e| e.path())).collect()).unwrap_or_default()
        };
        list(&self.path().join("rings")).iter().flat_map(|ring| list(ring)).filter(|p| p.is_file()).collect()
    }
}

/// The rings in the answer of `rings --json`: the first list in it.
pub(crate) fn rings_of(json: &Value) -> Vec<Ring> {
    let list = match json {
        Value::Array(list) => list,
        Value::Object(map) => map.values().find_map(Value::as_array).unwrap_or_else(|| panic!("no list of interfaces in {json}")),
        _ => panic!("no list of interfaces in {json}"),
    };
    let number = |v: &Value, key: &str| v.get(key).and_then(Value::as_u64).unwrap_or_else(|| panic!("no number {key} in {v}"));
    list.iter()
        .map(|v| Ring {
            interface: v["interface"].as_str().unwrap_or_else(|| panic!("no interface in {v}")).to_owned(),
            packets: number(v, "packets"),
            segments: number(v, "segments"),
            json: v.clone(),
        })
        .collect()
}

/// Nanoseconds as epoch seconds with their fraction, as `--from` and `--to` take them.
pub(crate) fn seconds(ns: u64) -> String {
    format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000)
}

/// Says that a test did not run, past the harness's capture; a failure where `TAPLOOP_CI` is set.
pub(crate) fn skip(why: &str) {
    let text = format!("skipped: {why} ({})\n", std::thread::current().name().unwrap_or("?"));
    assert!(std::env::var_os("TAPLOOP_CI").is_none_or(|v| v != "1"), "{text}");
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// The folder of captures, or a skip.
pub(crate) fn corpus() -> Option<PathBuf> {
    match std::env::var_os("TAPLOOP_CORPUS").filter(|v| !v.is_empty()) {
        Some(dir) => Some(PathBuf::from(dir)),
        None => {
            skip("TAPLOOP_CORPUS is not set");
            None
        }
    }
}

/// Whether the tool is installed, or a skip.
pub(crate) fn has_tool(name: &str) -> bool {
    let found = std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(name).is_file()));
    if !found {
        skip(&format!("{name} is not installed"));
    }
    found
}

/// Runs another program.
pub(crate) fn tool<S: AsRef<OsStr>>(name: &str, args: impl IntoIterator<Item = S>) -> Output {
    let mut c = Command::new(name);
    c.args(args).env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
    run_with(c, &[])
}

/// What the tools always say on standard error, taken away.
fn complaints(stderr: &str) -> String {
    stderr
        .lines()
        .filter(|l| !l.is_empty() && !l.starts_with("Running as user") && !l.starts_with("reading from file"))
        // Of the link type LINUX_SLL2, whatever the file: interface numbers mean nothing on another machine.
        .filter(|l| !l.contains("interface names might be incorrect"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// tshark, tcpdump (where there is one link type) and capinfos read the file to its end and say nothing against it.
#[track_caller]
pub(crate) fn tools_accept(path: &Path, tshark: bool) {
    let Some(file) = plain::read(path) else { panic!("{} is no capture", path.display()) };
    let path = path.to_path_buf();
    let args = |words: &[&str]| -> Vec<OsString> {
        words.iter().map(OsString::from).map(|w| if w == "FILE" { path.clone().into() } else { w }).collect()
    };
    if has_tool("capinfos") {
        let out = tool("capinfos", args(&["-c", "-M", "-T", "-r", "-Q", "FILE"]));
        let said = complaints(&out.stderr);
        assert!(out.status == 0 && said.is_empty(), "capinfos on {}: {} {said}", path.display(), out.status);
        let counted = String::from_utf8_lossy(&out.stdout);
        assert!(
            counted.contains(&format!("\"{}\"", file.packets.len()))
                || counted.contains(&format!(",{}", file.packets.len()))
                || counted.contains(&format!("\t{}", file.packets.len())),
            "capinfos counts otherwise than {}: {counted}",
            file.packets.len()
        );
    }
    let one_link = file.interfaces.windows(2).all(|w| w[0].link == w[1].link);
    if one_link && !file.interfaces.is_empty() && has_tool("tcpdump") {
        let out = tool("tcpdump", args(&["-n", "-q", "-r", "FILE", "-w", "-"]));
        let said = complaints(&out.stderr);
        // libpcap knows no reader for some link types; that is its own affair.
        if !said.contains("unknown") {
            assert!(out.status == 0 && said.is_empty(), "tcpdump on {}: {} {said}", path.display(), out.status);
            assert_eq!(
                plain::parse(&out.stdout).map_or(0, |f| f.packets.len()),
                file.packets.len(),
                "tcpdump on {}",
                path.display()
            );
        }
    }
    if tshark && has_tool("tshark") {
        let out = tool("tshark", args(&["-n", "-r", "FILE", "-T", "fields", "-e", "frame.number"]));
        let said = complaints(&out.stderr);
        assert!(out.status == 0 && said.is_empty(), "tshark on {}: {} {said}", path.display(), out.status);
        assert_eq!(String::from_utf8_lossy(&out.stdout).lines().count(), file.packets.len(), "tshark on {}", path.display());
    }
}

/// A running child that is killed at the latest when the test ends.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    /// Waits for the end; the status, or -1.
    pub(crate) fn wait(&mut self) -> i32 {
        let until = Instant::now() + HUNG;
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(Instant::now() < until, "hung");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Polls until `f` gives something.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut f: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + HUNG;
    loop {
        if let Some(x) = f() {
            return x;
        }
        assert!(Instant::now() < until, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The most memory that the process ever held, in KiB; `None` once it is gone.
pub(crate) fn peak_kib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?.split_whitespace().next()?.parse().ok()
}

/// Runs a command while watching its memory: the output and the peak in KiB. The system keeps the peak as long as the process lives, so
/// that one look near its end does. What the system tells of it afterwards begins with the peak of the test itself, from which it was
/// forked, and is no help.
pub(crate) fn run_watched(mut command: Command) -> (Output, u64) {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let pid = child.id();
    let watch = std::thread::spawn(move || {
        let mut peak = 0;
        // Until it is gone, or has ended and waits to be taken leave of.
        while let Some(now) = peak_kib(pid) {
            peak = peak.max(now);
            std::thread::sleep(Duration::from_millis(1));
        }
        peak
    });
    let errors = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = stderr.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    });
    let mut out = Vec::new();
    stdout.read_to_end(&mut out).unwrap();
    let stderr = errors.join().unwrap();
    let peak = watch.join().unwrap();
    let status = child.wait().unwrap().code().unwrap_or(-1);
    assert!(peak > 0, "{command:?}: its memory was not seen");
    (Output { status, stdout: out, stderr }, peak)
}
