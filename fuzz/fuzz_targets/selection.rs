//! Any text, as a selection's text form, as the command line's words, as a filter. What is understood prints, and the print is understood
//! as the same.

#![no_main]

use clap::{Args, Command, FromArgMatches};
use libfuzzer_sys::fuzz_target;
use taploop::packet::{LinkType, Packet};
use taploop::select::{Expr, Judge, Request, Selection, check_filter, plannable};
use taploop::time::Timestamp;

fn holds(selection: &Selection) {
    let text = selection.to_string();
    let again: Selection = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
    assert_eq!(&again, selection, "{text}");
    assert_eq!(again.to_string(), text);
}

/// Words as a shell splits them, with single quotes alone.
fn words(line: &str) -> Vec<String> {
    let mut out = vec!["taploop".to_string()];
    for (i, part) in line.split('\'').enumerate() {
        if i % 2 == 1 {
            out.push(part.into());
        } else {
            out.extend(part.split_whitespace().map(String::from));
        }
    }
    out
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(selection) = text.parse::<Selection>() {
        holds(&selection);
    }
    if let Ok(expr) = text.parse::<Expr>() {
        assert_eq!(expr.to_string().parse::<Expr>(), Ok(expr));
    }
    let command = Request::augment_args(Command::new("taploop").disable_help_flag(true));
    if let Ok(matches) = command.try_get_matches_from(words(text))
        && let Ok(request) = Request::from_arg_matches(&matches)
        && let Ok(selection) = request.resolve(Timestamp::from_nanos(1_600_000_000_000_000_000))
    {
        holds(&selection);
    }
    // A filter is also what the index is asked with, and judges a packet.
    if check_filter(text).is_ok() {
        let plan = plannable(text, LinkType::ETHERNET);
        assert_eq!(plan.to_string().parse::<Expr>(), Ok(plan));
        if let Ok(mut judge) = Judge::new(&Expr::Filter(text.into()), LinkType::ETHERNET) {
            judge.matches(&Packet { time: Timestamp::ZERO, original_length: 60, data: &[0x45; 60], options: &[] }, None);
        }
    }
});
