//! What a decoder works on: one call's stubs, the handles known so far, and what was read.

use super::described::{Command, Described};
use super::ndr::{ContextHandle, Ndr};
use serde_json::{Map, Value};
use std::collections::VecDeque;

/// Bytes of a binary value that are told in hexadecimal; registry values and the like may be large, and the stub holds them all.
pub(super) const HEX_BYTES_MAX: usize = 256;

/// Entries of a list that are told: an enumeration of accounts may have thousands. Further ones are counted.
pub(super) const LIST_ENTRIES_MAX: usize = 1000;

/// Commands taken from one task's definition; tasks have at most 32 actions ([MS-TSCH] 2.5.6).
pub(super) const COMMANDS_MAX: usize = 32;

/// Bytes of a name or program that are remembered for a handle: the longest path of a registry key that tools show is shorter, and with
/// them all handles of an association hold at most 2 MiB.
const REMEMBERED_BYTES_MAX: usize = 4096;

/// What opened context handles stand for: a service's name, a registry key's path.
#[derive(Clone, Debug, Default)]
pub(super) struct Handles {
    known: VecDeque<(ContextHandle, Named)>,
    max: usize,
}

/// What a handle stands for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Named {
    /// Its name.
    pub(super) name: String,
    /// A service's program, where it was created on this association.
    pub(super) binary_path: Option<String>,
}

impl Handles {
    /// Remembers at most so many.
    pub(super) fn new(max: usize) -> Handles {
        Handles { known: VecDeque::new(), max }
    }

    /// Remembers one; the oldest is forgotten where there are too many.
    pub(super) fn insert(&mut self, handle: ContextHandle, mut named: Named) {
        if handle == [0; 20] || self.max == 0 {
            return;
        }
        self.known.retain(|k| k.0 != handle);
        if self.known.len() >= self.max {
            self.known.pop_front();
        }
        shorten(&mut named.name);
        if let Some(path) = &mut named.binary_path {
            shorten(path);
        }
        self.known.push_back((handle, named));
    }

    /// What a handle stands for.
    pub(super) fn get(&self, handle: &ContextHandle) -> Option<&Named> {
        self.known.iter().find(|k| k.0 == *handle).map(|k| &k.1)
    }

    /// Forgets a closed one.
    pub(super) fn remove(&mut self, handle: &ContextHandle) {
        self.known.retain(|k| k.0 != *handle);
    }
}

/// Cuts a text to what is remembered.
fn shorten(text: &mut String) {
    let mut end = REMEMBERED_BYTES_MAX.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text.shrink_to_fit();
}

/// One call in the hands of a decoder.
#[derive(Debug)]
pub(super) struct Exchange<'a> {
    /// The operation.
    pub(super) opnum: u16,
    /// The request's stub.
    pub(super) request: Ndr<'a>,
    /// The answer's stub, where a response was seen.
    pub(super) response: Option<Ndr<'a>>,
    /// The arguments read so far.
    pub(super) arguments: Map<String, Value>,
    /// What the answer says, as far as it was read.
    pub(super) answer: Map<String, Value>,
    /// What it means for a task or service.
    pub(super) described: Option<Described>,
    /// The name of what the call opens or works on, for the handle in its answer.
    pub(super) subject: Named,
    /// The handles known so far.
    pub(super) handles: &'a mut Handles,
    /// Passwords are told as they are.
    pub(super) reveal_passwords: bool,
}

impl Exchange<'_> {
    /// Tells an argument.
    pub(super) fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.arguments.insert(name.into(), value.into());
    }

    /// Tells an argument that may be absent.
    pub(super) fn put_some(&mut self, name: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    /// Tells something of the answer.
    pub(super) fn answer(&mut self, name: &str, value: impl Into<Value>) {
        self.answer.insert(name.into(), value.into());
    }

    /// Reads a context handle of the request, and tells what it stands for, if that is known, under a name.
    pub(super) fn handle(&mut self, name: &str) -> Option<Named> {
        let handle = self.request.handle()?;
        let named = self.handles.get(&handle).cloned().unwrap_or_default();
        if !named.name.is_empty() {
            self.put(name, named.name.clone());
        }
        Some(named)
    }

    /// Reads a handle of the answer and remembers the call's subject for it.
    pub(super) fn opened(&mut self) -> Option<()> {
        let handle = self.response.as_mut()?.handle()?;
        self.handles.insert(handle, self.subject.clone());
        Some(())
    }

    /// Reads the status that ends an answer, tells it, and whether it is success.
    pub(super) fn status(&mut self) -> Option<bool> {
        let status = self.response.as_mut()?.u32()?;
        self.answer("status", status);
        let succeeded = status & 0x8000_0000 == 0 && (status & 0x7fff_ffff == 0 || status & 0x7fff_0000 == 0x0004_0000);
        match &mut self.described {
            Some(Described::ScheduledTask(task)) => task.succeeded = Some(succeeded),
            Some(Described::Service(service)) => service.succeeded = Some(succeeded),
            None => {}
        }
        Some(succeeded)
    }

    /// A password as it is told: redacted, unless it is asked for.
    pub(super) fn secret(&self, text: &str, bytes: usize) -> String {
        if self.reveal_passwords { text.into() } else { format!("<redacted, {bytes} bytes>") }
    }
}

/// Bytes in hexadecimal, at most [`HEX_BYTES_MAX`] of them.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    for b in bytes.iter().take(HEX_BYTES_MAX) {
        let _ = write!(text, "{b:02x}");
    }
    if bytes.len() > HEX_BYTES_MAX {
        let _ = write!(text, "... ({} bytes)", bytes.len());
    }
    text
}

/// A list as it is told: its first [`LIST_ENTRIES_MAX`] entries.
pub(super) fn list(entries: impl IntoIterator<Item = impl Into<Value>>) -> Value {
    Value::Array(entries.into_iter().take(LIST_ENTRIES_MAX).map(Into::into).collect())
}

/// The `Exec` actions of a task definition ([MS-TSCH] 2.5.6.1), found by their tags alone: the document need not be well formed.
pub(super) fn commands(xml: &str) -> Vec<Command> {
    let mut found = Vec::new();
    let mut rest = xml;
    while let Some((_, action)) = rest.split_once("<Exec").filter(|_| found.len() < COMMANDS_MAX) {
        let (action, after) = action.split_once("</Exec>").unwrap_or((action, ""));
        rest = after;
        let element = |name: &str| {
            let (_, inner) = action.split_once(&format!("<{name}>"))?;
            let (inner, _) = inner.split_once(&format!("</{name}>"))?;
            Some(unescape(inner))
        };
        if let Some(command) = element("Command") {
            found.push(Command { command, arguments: element("Arguments") });
        }
    }
    found
}

/// Bytes that are searched for the end of a reference: `#x10FFFF;`, with some leading zeros.
const ENTITY_BYTES_MAX: usize = 16;

/// Text of an element without its five predefined entities and numeric references (XML 1.0, 4.1 and 4.6).
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let end = after.bytes().take(ENTITY_BYTES_MAX).position(|b| b == b';');
        let known = end.and_then(|end| {
            let (name, after) = (after.get(..end)?, after.get(end + 1..)?);
            let c = match name {
                "lt" => '<',
                "gt" => '>',
                "amp" => '&',
                "quot" => '"',
                "apos" => '\'',
                _ => {
                    let number = name.strip_prefix('#')?;
                    let code = match number.strip_prefix('x') {
                        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                        None => number.parse().ok()?,
                    };
                    char::from_u32(code)?
                }
            };
            Some((c, after))
        });
        match known {
            Some((c, after)) => {
                out.push(c);
                rest = after;
            }
            None => {
                out.push('&');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_of_a_definition() {
        let xml = "<Task><Actions><Exec>\n<Command>cmd.exe</Command><Arguments>/C a &gt; b 2&gt;&amp;1 &#65;&#x42; &c</Arguments></Exec>\
                   <Exec id=\"2\"><Command>x</Command></Exec><Exec><Arguments>lost</Arguments></Exec></Actions></Task>";
        assert_eq!(
            commands(xml),
            [
                Command { command: "cmd.exe".into(), arguments: Some("/C a > b 2>&1 AB &c".into()) },
                Command { command: "x".into(), arguments: None }
            ]
        );
        assert_eq!(commands("<Exec><Command>never closed"), []);
        assert_eq!(commands(&"<Exec>".repeat(10_000)), []);
    }

    #[test]
    fn handles_are_bounded() {
        let mut handles = Handles::new(2);
        for n in 1..=3_u8 {
            handles.insert([n; 20], Named { name: n.to_string(), ..Named::default() });
        }
        handles.insert([0; 20], Named::default());
        handles.insert([3; 20], Named { name: "\u{fc}".repeat(10_000), ..Named::default() });
        assert_eq!(handles.get(&[3; 20]).map(|n| n.name.len()), Some(4096));
        handles.insert([3; 20], Named { name: "3".into(), ..Named::default() });
        assert_eq!(handles.get(&[1; 20]), None);
        assert_eq!(handles.get(&[3; 20]).map(|n| n.name.as_str()), Some("3"));
        handles.remove(&[3; 20]);
        assert_eq!(handles.get(&[3; 20]), None);
    }
}
