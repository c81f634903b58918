//! Keeps the shape of src/: a module uses only modules that stand above it in lib.rs, files inside a module import in no circle, and
//! files stay small.
//!
//! Read are `use` lines and paths in code that begin with `crate`, `super`, `self` or a child module's name, in any file under src/,
//! and followed through re-exports to the file that defines the name. A `mod.rs` that only re-exports a child's name does not depend on
//! the child; one that also uses the name does. Not seen: code under `#[cfg(test)]`, names made by macros, methods called on another
//! file's types, and modules with bodies of their own inside a file (they count as the file).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Files longer than this need a line `// one table: REASON` or `// one state machine: REASON`.
const LINES_MAX: usize = 600;

/// A path of module names from the crate's root; the root itself is empty.
type Module = Vec<String>;

#[derive(Clone, Debug, PartialEq)]
struct Token {
    text: String,
    line: usize,
}

/// One path that a file names.
#[derive(Clone, Debug)]
struct Reference {
    path: Vec<String>,
    line: usize,
    /// `Some(name)` where a `use` brings it in under that name ("*" for all of it).
    name: Option<String>,
    /// It comes from `pub use`.
    public: bool,
}

/// What one file says about modules.
#[derive(Default, Debug)]
struct File {
    path: String,
    references: Vec<Reference>,
    /// Child modules in files of their own, in order, with those only for tests apart.
    children: Vec<String>,
    test_children: Vec<String>,
    /// Names of public items, for re-exports by `*`.
    public_items: BTreeSet<String>,
    /// Every identifier outside `use` lines.
    identifiers: BTreeSet<String>,
}

/// Blanks comments, strings and characters, keeping lines as they are.
fn strip(text: &str) -> String {
    let bytes: Vec<char> = text.chars().collect();
    let at = |i: usize| bytes.get(i).copied().unwrap_or('\0');
    let mut out = String::with_capacity(text.len());
    let mut i = 0;
    // Blanks up to `end`, which is past the last character to blank.
    let blank = |out: &mut String, from: usize, end: usize| {
        for &c in &bytes[from..end.min(bytes.len())] {
            out.push(if c == '\n' { '\n' } else { ' ' });
        }
        end
    };
    while i < bytes.len() {
        let start = i;
        let word_before = i > 0 && (at(i - 1).is_alphanumeric() || at(i - 1) == '_');
        let raw = if word_before {
            0
        } else {
            match (at(i), at(i + 1)) {
                ('r', '"' | '#') => 1,
                ('b' | 'c', 'r') if matches!(at(i + 2), '"' | '#') => 2,
                _ => 0,
            }
        };
        if raw > 0 {
            let hashes = (i + raw..).take_while(|&k| at(k) == '#').count();
            if at(i + raw + hashes) == '"' {
                let mut k = i + raw + hashes + 1;
                while k < bytes.len() && !(at(k) == '"' && (1..=hashes).all(|h| at(k + h) == '#')) {
                    k += 1;
                }
                i = blank(&mut out, start, k + 1 + hashes);
                continue;
            }
        }
        match (at(i), at(i + 1)) {
            ('/', '/') => {
                let end = (i..bytes.len()).find(|&k| at(k) == '\n').unwrap_or(bytes.len());
                i = blank(&mut out, start, end);
            }
            ('/', '*') => {
                let mut depth = 1;
                let mut k = i + 2;
                while k < bytes.len() && depth > 0 {
                    match (at(k), at(k + 1)) {
                        ('/', '*') => (depth, k) = (depth + 1, k + 2),
                        ('*', '/') => (depth, k) = (depth - 1, k + 2),
                        _ => k += 1,
                    }
                }
                i = blank(&mut out, start, k);
            }
            ('"', _) => {
                let mut k = i + 1;
                while k < bytes.len() && at(k) != '"' {
                    k += if at(k) == '\\' { 2 } else { 1 };
                }
                i = blank(&mut out, start, k + 1);
            }
            ('\'', '\\') => {
                let end = (i + 3..bytes.len()).find(|&k| at(k) == '\'').unwrap_or(bytes.len());
                i = blank(&mut out, start, end + 1);
            }
            ('\'', _) if at(i + 2) == '\'' => i = blank(&mut out, start, i + 3),
            (c, _) => {
                out.push(c);
                i += 1;
            }
        }
    }
    out
}

fn tokens(text: &str) -> Vec<Token> {
    let mut out = Vec::new();
    for (number, line) in strip(text).lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let word = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').map(char::len_utf8).sum::<usize>();
            let length = if word > 0 {
                word
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            out.push(Token { text: rest[..length].to_string(), line: number + 1 });
            rest = rest[length..].trim_start();
        }
    }
    out
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Takes out what `#[cfg(test)]` stands before, and gives the child modules that are declared there.
fn without_tests(all: &[Token]) -> (Vec<Token>, Vec<String>) {
    let text = |i: usize| all.get(i).map_or("", |t| t.text.as_str());
    let cfg_test = |i: usize| ["#", "[", "cfg", "(", "test", ")", "]"].iter().enumerate().all(|(k, t)| text(i + k) == *t);
    let (mut kept, mut children, mut i) = (Vec::new(), Vec::new(), 0);
    while i < all.len() {
        if !cfg_test(i) {
            kept.push(all[i].clone());
            i += 1;
            continue;
        }
        i += 7;
        if let Some(at) = (i..i + 5).find(|&k| text(k) == "mod").filter(|&k| text(k + 2) == ";") {
            children.push(text(at + 1).to_string());
        }
        // Past the item: to its `;`, or to the end of its first braces.
        let mut depth = 0_i32;
        while i < all.len() {
            let token = text(i);
            depth += i32::from(matches!(token, "(" | "[" | "{")) - i32::from(matches!(token, ")" | "]" | "}"));
            i += 1;
            if depth == 0 && matches!(token, ";" | "}" | ",") {
                break;
            }
        }
    }
    (kept, children)
}

/// Reads a path and the tree after it, if there is one, from `i` on; gives the index after it.
fn read_tree(all: &[Token], mut i: usize, prefix: &[String], out: &mut Vec<(Vec<String>, usize, String)>) -> usize {
    let text = |i: usize| all.get(i).map_or("", |t| t.text.as_str());
    let mut path = prefix.to_vec();
    let line = all.get(i).map_or(0, |t| t.line);
    loop {
        match text(i) {
            "{" => {
                i += 1;
                while i < all.len() && text(i) != "}" {
                    i = if text(i) == "," { i + 1 } else { read_tree(all, i, &path, out) };
                }
                return i + 1;
            }
            "*" => {
                out.push((path, line, "*".into()));
                return i + 1;
            }
            word if is_word(word) => {
                if word != "self" || path.is_empty() {
                    path.push(word.to_string());
                }
                i += 1;
            }
            _ => return i + 1,
        }
        if text(i) == "::" && (is_word(text(i + 1)) || matches!(text(i + 1), "{" | "*")) {
            i += 1;
            continue;
        }
        let mut name = path.last().cloned().unwrap_or_default();
        if text(i) == "as" {
            name = text(i + 1).to_string();
            i += 2;
        }
        out.push((path, line, name));
        return i;
    }
}

/// Makes a path absolute, seen from `module`; `None` where it leads out of the crate.
fn absolute(path: &[String], module: &[String], children: &[String]) -> Option<Vec<String>> {
    let mut out = match path.first()?.as_str() {
        "crate" => return Some(path[1..].to_vec()),
        "self" | "super" => module.to_vec(),
        child if children.iter().any(|c| c == child) => {
            return Some(module.iter().chain(path).cloned().collect());
        }
        _ => return None,
    };
    for part in path {
        match part.as_str() {
            "self" => {}
            "super" => {
                out.pop()?;
            }
            word => out.push(word.to_string()),
        }
    }
    Some(out)
}

fn read(path: &str, module: &[String], text: &str) -> File {
    let (all, test_children) = without_tests(&tokens(text));
    let word = |i: usize| all.get(i).map_or("", |t| t.text.as_str());
    let mut file = File { path: path.into(), test_children, ..File::default() };
    for i in 0..all.len() {
        if word(i) == "mod" && is_word(word(i + 1)) && word(i + 2) == ";" {
            file.children.push(word(i + 1).to_string());
        }
        if matches!(word(i), "fn" | "struct" | "enum" | "union" | "trait" | "type" | "const" | "static" | "mod") {
            let public = (i.saturating_sub(5)..i).any(|k| word(k) == "pub");
            if public && is_word(word(i + 1)) {
                file.public_items.insert(word(i + 1).to_string());
            }
        }
    }
    // How deep inside inline modules we are: there `super` means one less.
    let (mut depth, mut inline, mut i) = (0, Vec::new(), 0);
    while i < all.len() {
        let token = word(i);
        match token {
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                if inline.last() == Some(&depth) {
                    inline.pop();
                }
            }
            "mod" if word(i + 2) == "{" => inline.push(depth),
            _ => {}
        }
        let is_use = token == "use" && !matches!(word(i + 1), "<" | "");
        let before = if i > 0 { word(i - 1) } else { "" };
        let starts = matches!(token, "crate" | "super" | "self") || file.children.iter().any(|c| c == token);
        let mut found = Vec::new();
        let mut public = false;
        if is_use {
            public =
                (i.saturating_sub(4)..i).any(|k| word(k) == "pub" && (k + 1..i).all(|m| !matches!(word(m), ";" | "}" | "{")));
            i = read_tree(&all, i + 1, &[], &mut found);
        } else if starts && word(i + 1) == "::" && !matches!(before, "::" | "." | "in") {
            i = read_tree(&all, i, &[], &mut found);
        } else {
            if is_word(token) {
                file.identifiers.insert(token.to_string());
            }
            i += 1;
        }
        for (mut path, line, name) in found {
            for _ in &inline {
                if matches!(path.first().map(String::as_str), Some("super" | "self")) {
                    path[0] = "self".into();
                    if path.get(1).map(String::as_str) == Some("super") {
                        path.remove(0);
                    }
                }
            }
            if let Some(path) = absolute(&path, module, &file.children) {
                file.references.push(Reference { path, line, name: is_use.then_some(name), public });
            }
        }
    }
    file
}

/// The module that a file under src/ holds; `None` for the program's own file.
fn module_of(path: &str) -> Option<Module> {
    let inner = path.strip_prefix("src/")?.strip_suffix(".rs")?;
    match inner {
        "lib" => Some(Vec::new()),
        "main" => None,
        _ => Some(inner.strip_suffix("/mod").unwrap_or(inner).split('/').map(String::from).collect()),
    }
}

struct Tree {
    files: BTreeMap<Module, File>,
}

impl Tree {
    fn new(sources: &BTreeMap<String, String>) -> Tree {
        let mut files = BTreeMap::new();
        for (path, text) in sources {
            if let Some(module) = module_of(path) {
                let file = read(path, &module, text);
                files.insert(module, file);
            }
        }
        // Files that only tests declare are tests.
        let tests: Vec<Module> = files
            .iter()
            .flat_map(|(m, f)| f.test_children.iter().map(|c| m.iter().chain([c]).cloned().collect::<Module>()))
            .collect();
        files.retain(|m, _| !tests.iter().any(|t| m.starts_with(t)));
        Tree { files }
    }

    /// The files that define what `path` names: most often one, more where a `*` re-exports several.
    fn defined_in(&self, path: &[String], hops: usize) -> BTreeSet<Module> {
        let mut at = Module::new();
        for (i, part) in path.iter().enumerate() {
            let next: Module = at.iter().chain([part]).cloned().collect();
            if self.files.contains_key(&next) {
                at = next;
                continue;
            }
            let Some(file) = self.files.get(&at).filter(|_| hops > 0) else { break };
            for r in &file.references {
                let passes = match r.name.as_deref() {
                    Some("*") => self.files.get(&r.path).is_some_and(|f| f.public_items.contains(part)),
                    Some(name) => name == part,
                    None => false,
                };
                if passes {
                    let through: Vec<String> = match r.name.as_deref() {
                        Some("*") => r.path.iter().chain(&path[i..]).cloned().collect(),
                        _ => r.path.iter().chain(&path[i + 1..]).cloned().collect(),
                    };
                    return self.defined_in(&through, hops - 1);
                }
            }
            break;
        }
        BTreeSet::from([at])
    }

    /// Whether a reference only passes a child's name on.
    fn only_passes_on(&self, module: &[String], file: &File, r: &Reference) -> bool {
        let Some(name) = r.name.as_deref().filter(|_| r.public) else { return false };
        r.path.len() > module.len() && r.path.starts_with(module) && !file.identifiers.contains(name)
    }

    /// Uses of modules that do not stand above the user in lib.rs.
    fn out_of_order(&self) -> Vec<String> {
        let order = self.files.get(&Module::new()).map(|f| f.children.clone()).unwrap_or_default();
        let place = |m: &str| order.iter().position(|o| o == m);
        let mut out = Vec::new();
        for (module, file) in self.files.iter().filter(|(m, _)| !m.is_empty()) {
            let Some(own) = place(&module[0]) else {
                out.push(format!("{}: its module {} is not in src/lib.rs", file.path, module[0]));
                continue;
            };
            for r in &file.references {
                let Some(used) = r.path.first() else {
                    out.push(format!("{}:{}: uses the crate's root, which only maps", file.path, r.line));
                    continue;
                };
                match place(used) {
                    Some(other) if other <= own => {}
                    Some(_) => out.push(format!(
                        "{}:{}: {} uses {used}, which stands below it in src/lib.rs",
                        file.path, r.line, module[0]
                    )),
                    None => out.push(format!("{}:{}: uses crate::{used}, which is no module in src/lib.rs", file.path, r.line)),
                }
            }
        }
        out
    }

    /// Circles of files inside one module, each told once.
    fn circles(&self) -> Vec<String> {
        let mut edges: BTreeMap<&Module, BTreeMap<Module, usize>> = BTreeMap::new();
        for (module, file) in self.files.iter().filter(|(m, _)| !m.is_empty()) {
            let out = edges.entry(module).or_default();
            for r in file.references.iter().filter(|r| !self.only_passes_on(module, file, r)) {
                for target in self.defined_in(&r.path, 16) {
                    if target != *module && target.first() == module.first() {
                        out.entry(target).or_insert(r.line);
                    }
                }
            }
        }
        let (mut done, mut told, mut out) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
        for start in edges.keys() {
            let mut way = vec![(*start).clone()];
            self.walk(&edges, &mut way, &mut done, &mut told, &mut out);
        }
        out
    }

    fn walk(
        &self,
        edges: &BTreeMap<&Module, BTreeMap<Module, usize>>,
        way: &mut Vec<Module>,
        done: &mut BTreeSet<Module>,
        told: &mut BTreeSet<BTreeSet<Module>>,
        out: &mut Vec<String>,
    ) {
        let here = way[way.len() - 1].clone();
        if done.contains(&here) {
            return;
        }
        for next in edges.get(&here).into_iter().flat_map(BTreeMap::keys) {
            if let Some(from) = way.iter().position(|m| m == next) {
                let circle = &way[from..];
                if told.insert(circle.iter().cloned().collect()) {
                    let steps = circle.iter().enumerate().map(|(i, m)| {
                        let to = circle.get(i + 1).unwrap_or(next);
                        format!("{}:{} uses {}", self.files[m].path, edges[m][to], to.join("::"))
                    });
                    out.push(format!("a circle: {}", steps.collect::<Vec<_>>().join(", ")));
                }
            } else {
                way.push(next.clone());
                self.walk(edges, way, done, told, out);
                way.pop();
            }
        }
        done.insert(here);
    }
}

fn too_long(sources: &BTreeMap<String, String>) -> Vec<String> {
    let excused = |text: &str| {
        text.lines().any(|line| {
            let reason = ["// one table: ", "// one state machine: "].iter().find_map(|p| line.trim().strip_prefix(p));
            reason.is_some_and(|r| r.split_whitespace().count() >= 3)
        })
    };
    let long = sources.iter().filter(|(_, text)| text.lines().count() > LINES_MAX && !excused(text));
    long.map(|(path, text)| format!("{path}: {} lines, more than {LINES_MAX}", text.lines().count())).collect()
}

fn sources(root: &Path) -> BTreeMap<String, String> {
    let (mut out, mut folders) = (BTreeMap::new(), vec![root.join("src")]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("src is readable") {
            let path = entry.expect("src is readable").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(root).expect("it is below").to_string_lossy().replace('\\', "/");
                out.insert(name, fs::read_to_string(&path).expect("sources are readable text"));
            }
        }
    }
    out
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn modules_use_only_modules_above_them() {
    let tree = Tree::new(&sources(root()));
    assert!(tree.files[&Module::new()].children.len() > 3, "lib.rs was not understood");
    let found = tree.out_of_order();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn files_of_a_module_import_in_no_circle() {
    let found = Tree::new(&sources(root())).circles();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn files_are_small_or_say_why_not() {
    let found = too_long(&sources(root()));
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn what_a_reader_looks_for_first_is_there() {
    for name in ["README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE", "captures/README.md", "docs/benchmarks.md"] {
        assert!(root().join(name).is_file(), "{name} is missing");
    }
    let changelog = fs::read_to_string(root().join("CHANGELOG.md")).expect("it was there");
    assert!(changelog.contains("## [Unreleased]"), "CHANGELOG.md has no place for what comes next");
}

/// The checks themselves, on small trees made up here.
mod itself {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Tree {
        let mut all = BTreeMap::from([("src/lib.rs".to_string(), "pub mod low;\n\npub mod mid;\n\npub mod high;\n".to_string())]);
        all.extend(files.iter().map(|(path, text)| (format!("src/{path}"), (*text).to_string())));
        Tree::new(&all)
    }

    #[track_caller]
    fn order(files: &[(&str, &str)], expected: &[&str]) {
        assert_eq!(tree(files).out_of_order(), expected);
    }

    #[track_caller]
    fn circles(files: &[(&str, &str)], expected: &[&str]) {
        assert_eq!(tree(files).circles(), expected);
    }

    #[test]
    fn using_upwards_is_fine() {
        order(
            &[
                ("low.rs", "pub struct A;"),
                ("mid.rs", "use crate::low::A;"),
                ("high/x.rs", "use crate::{low::A, mid::{self, B}};"),
            ],
            &[],
        );
    }

    #[test]
    fn using_downwards_is_named_with_its_line() {
        let told = "src/low.rs:2: low uses high, which stands below it in src/lib.rs";
        for text in [
            "\nuse crate::high::A;",
            "\nuse crate::{mid_not::*, high};",
            "\nfn f() { crate::high::g() }",
            "\nuse super::high;",
            "\npub use crate::high::A as B;",
            "\nmod inner { use super::super::high::A; }",
            "// crate::mid\n#[cfg(test)] mod t { use crate::mid::A; } use crate::high::A;",
        ] {
            let found = tree(&[("low.rs", text)]).out_of_order();
            assert!(found.iter().any(|f| f == told), "{text:?} gave {found:?}");
        }
        order(
            &[("low/deep/er.rs", "\n\n\nuse crate::high::A;")],
            &["src/low/deep/er.rs:4: low uses high, which stands below it in src/lib.rs"],
        );
    }

    #[test]
    fn unknown_modules_are_named() {
        order(&[("low.rs", "use crate::Error;")], &["src/low.rs:1: uses crate::Error, which is no module in src/lib.rs"]);
        order(&[("lost.rs", "")], &["src/lost.rs: its module lost is not in src/lib.rs"]);
    }

    #[test]
    fn text_comments_and_tests_do_not_count() {
        order(
            &[
                ("low.rs", "// crate::high::A\n/* use crate::high; /* */ crate::high::A */\nconst A: &str = \"crate::high::A\";"),
                ("low/a.rs", "const A: &str = r#\"use crate::high::A;\"#; const C: char = '\"'; const D: u8 = b'\\''; // \""),
                (
                    "low/b.rs",
                    "#[cfg(test)]\nmod tests {\n use crate::high::A; fn f() { [0; 3]; }\n}\npub(in crate::low) fn g<'a>(_: &'a str) {}",
                ),
                ("low/c.rs", "#[cfg(test)]\nmod d;"),
                ("low/c/d.rs", "use crate::high::A;"),
            ],
            &[],
        );
    }

    #[test]
    fn circles_of_siblings_are_named() {
        let told = &["a circle: src/mid/a.rs:1 uses mid::b, src/mid/b.rs:2 uses mid::a"];
        circles(
            &[("mid/mod.rs", "mod a; mod b;"), ("mid/a.rs", "use super::b::B;"), ("mid/b.rs", "\nuse crate::mid::a::A;")],
            told,
        );
        circles(
            &[("mid/mod.rs", "mod a; mod b;"), ("mid/a.rs", "fn f() { super::b::g() }"), ("mid/b.rs", "\nuse super::a;")],
            told,
        );
    }

    #[test]
    fn circles_through_re_exports_are_named() {
        let told = &["a circle: src/mid/a.rs:1 uses mid::b, src/mid/b.rs:1 uses mid::a"];
        circles(
            &[
                ("mid/mod.rs", "mod a; mod b; pub use a::A; pub use b::*;"),
                ("mid/a.rs", "use super::B;"),
                ("mid/b.rs", "use crate::mid::A; pub struct B;"),
            ],
            told,
        );
    }

    #[test]
    fn longer_circles_are_named_once() {
        circles(
            &[
                ("mid/mod.rs", "mod a; mod b; mod c;"),
                ("mid/a.rs", "use super::b::B;"),
                ("mid/b.rs", "use super::c::C;"),
                ("mid/c.rs", "use super::a::A;"),
            ],
            &["a circle: src/mid/a.rs:1 uses mid::b, src/mid/b.rs:1 uses mid::c, src/mid/c.rs:1 uses mid::a"],
        );
    }

    #[test]
    fn a_parent_that_only_re_exports_is_in_no_circle() {
        circles(&[("mid/mod.rs", "mod a; pub use a::A; pub struct P;"), ("mid/a.rs", "use super::P; pub struct A(P);")], &[]);
    }

    #[test]
    fn a_parent_that_uses_its_child_is() {
        let told = &["a circle: src/mid/mod.rs:1 uses mid::a, src/mid/a.rs:1 uses mid"];
        circles(
            &[("mid/mod.rs", "mod a; pub use a::A; pub struct P; fn f(_: A) {}"), ("mid/a.rs", "use super::P; pub struct A(P);")],
            told,
        );
        circles(&[("mid/mod.rs", "mod a; pub struct P; fn f() { a::g() }"), ("mid/a.rs", "use super::P;")], told);
    }

    #[test]
    fn long_files_need_a_reason() {
        let long = "\n".repeat(LINES_MAX + 1);
        let check = |text: String| too_long(&BTreeMap::from([("src/low.rs".to_string(), text)])).len();
        assert_eq!(check(long.clone()), 1);
        assert_eq!(check(format!("{long}// one table:")), 1);
        assert_eq!(check(format!("{long}// one table: all numbers of one registry")), 0);
        assert_eq!(check("\n".repeat(LINES_MAX)), 0);
    }
}
