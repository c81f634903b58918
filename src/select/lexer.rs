//! The words of a selection's text form: bare words, quoted strings, parentheses.

/// One word, with where it begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Token {
    pub(super) at: usize,
    pub(super) kind: Kind,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Word(String),
    Quoted(String),
    Open,
    Close,
}

/// The words of `text`; the byte position of a string that does not end, or of a bad escape, otherwise.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, usize> {
    let mut out = Vec::new();
    let mut rest = text.char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        let kind = match c {
            c if c.is_ascii_whitespace() => continue,
            '(' => Kind::Open,
            ')' => Kind::Close,
            '"' => {
                let mut value = String::new();
                loop {
                    match rest.next().ok_or(at)? {
                        (_, '"') => break,
                        (_, '\\') => value.push(escaped(&mut rest).ok_or(at)?),
                        (_, c) => value.push(c),
                    }
                }
                Kind::Quoted(value)
            }
            first => {
                let mut word = String::from(first);
                while let Some(&(_, c)) = rest.peek() {
                    if c.is_ascii_whitespace() || matches!(c, '(' | ')' | '"') {
                        break;
                    }
                    word.push(c);
                    rest.next();
                }
                Kind::Word(word)
            }
        };
        out.push(Token { at, kind });
    }
    Ok(out)
}

/// What follows a backslash: itself for a quote or a backslash, `n`, `r`, `t`, or `u{HEX}`.
fn escaped(rest: &mut impl Iterator<Item = (usize, char)>) -> Option<char> {
    match rest.next()?.1 {
        c @ ('"' | '\\') => Some(c),
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        'u' => {
            (rest.next()?.1 == '{').then_some(())?;
            let mut value = 0u32;
            for _ in 0..7 {
                match rest.next()?.1 {
                    '}' => return char::from_u32(value),
                    c => value = value * 16 + c.to_digit(16)?,
                }
            }
            None
        }
        _ => None,
    }
}

/// `value` in quotes, control characters escaped, so that it stays on one line.
pub(super) fn quote(value: &str, out: &mut impl std::fmt::Write) -> std::fmt::Result {
    out.write_char('"')?;
    for c in value.chars() {
        match c {
            '"' | '\\' => {
                out.write_char('\\')?;
                out.write_char(c)?;
            }
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            c if c.is_control() => write!(out, "\\u{{{:x}}}", c as u32)?,
            c => out.write_char(c)?,
        }
    }
    out.write_char('"')
}
