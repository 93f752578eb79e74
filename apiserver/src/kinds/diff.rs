//! What changed between two values, as a unified diff of their indented JSON. See `apimachinery/pkg/util/diff/diff.go`.

use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{PrettyFormatter, Serializer};

/// Lines of context around a change.
const CONTEXT: usize = 3;
/// Larger values are not compared line by line.
const MOST_LINES: usize = 4000;

/// One line of the comparison.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line<'a> {
    Kept(&'a str),
    Gone(&'a str),
    New(&'a str),
}

/// The unified diff from `before` to `after`; empty if they are equal.
pub fn unified(before: &Value, after: &Value) -> String {
    let (before, after) = (pretty(before), pretty(after));
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let lines = compare(&old, &new);
    let changed: Vec<usize> = lines.iter().enumerate().filter(|(_, line)| !matches!(line, Line::Kept(_))).map(|(index, _)| index).collect();
    let mut shown = String::new();
    let mut next = 0;
    while let Some(first) = changed.iter().copied().find(|index| *index >= next) {
        let mut last = first;
        for index in changed.iter().copied().filter(|index| *index > first) {
            if index - last > 2 * CONTEXT {
                break;
            }
            last = index;
        }
        let (start, end) = (first.saturating_sub(CONTEXT), (last + CONTEXT + 1).min(lines.len()));
        hunk(&lines, start, end, &mut shown);
        next = end;
    }
    shown
}

fn hunk(lines: &[Line<'_>], start: usize, end: usize, shown: &mut String) {
    let count =
        |part: &[Line<'_>], old: bool| part.iter().filter(|line| if old { !matches!(line, Line::New(_)) } else { !matches!(line, Line::Gone(_)) }).count();
    let range = |old: bool| {
        let (before, length) = (count(&lines[..start], old), count(&lines[start..end], old));
        match length {
            0 => format!("{before},0"),
            1 => format!("{}", before + 1),
            _ => format!("{},{length}", before + 1),
        }
    };
    shown.push_str(&format!("@@ -{} +{} @@\n", range(true), range(false)));
    for line in &lines[start..end] {
        let (mark, text) = match line {
            Line::Kept(text) => (' ', text),
            Line::Gone(text) => ('-', text),
            Line::New(text) => ('+', text),
        };
        shown.push(mark);
        shown.push_str(text);
        shown.push('\n');
    }
}

/// The longest common lines are kept; what is between them is gone or new.
fn compare<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<Line<'a>> {
    let same_start = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let same_end = old[same_start..].iter().rev().zip(new[same_start..].iter().rev()).take_while(|(a, b)| a == b).count();
    let (left, right) = (&old[same_start..old.len() - same_end], &new[same_start..new.len() - same_end]);
    let mut lines: Vec<Line<'a>> = old[..same_start].iter().copied().map(Line::Kept).collect();
    if left.len() > MOST_LINES || right.len() > MOST_LINES {
        lines.extend(left.iter().copied().map(Line::Gone).chain(right.iter().copied().map(Line::New)));
    } else {
        lines.extend(longest_common(left, right));
    }
    lines.extend(old[old.len() - same_end..].iter().copied().map(Line::Kept));
    lines
}

fn longest_common<'a>(left: &[&'a str], right: &[&'a str]) -> Vec<Line<'a>> {
    let width = right.len() + 1;
    let mut length = vec![0_u32; (left.len() + 1) * width];
    for i in (0..left.len()).rev() {
        for j in (0..right.len()).rev() {
            length[i * width + j] =
                if left[i] == right[j] { length[(i + 1) * width + j + 1] + 1 } else { length[(i + 1) * width + j].max(length[i * width + j + 1]) };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < left.len() || j < right.len() {
        if i < left.len() && j < right.len() && left[i] == right[j] {
            lines.push(Line::Kept(left[i]));
            (i, j) = (i + 1, j + 1);
        } else if i < left.len() && (j == right.len() || length[(i + 1) * width + j] >= length[i * width + j + 1]) {
            lines.push(Line::Gone(left[i]));
            i += 1;
        } else {
            lines.push(Line::New(right[j]));
            j += 1;
        }
    }
    lines
}

fn pretty(value: &Value) -> String {
    let mut bytes = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut bytes, PrettyFormatter::with_indent(b" "));
    match value.serialize(&mut serializer) {
        Ok(()) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(_) => value.to_string(), // writing to memory does not fail
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn shows_what_changed_with_context() {
        let told = unified(&json!({"a": 1, "b": 2, "c": 3}), &json!({"a": 1, "b": 5, "c": 3}));
        assert_eq!(told, "@@ -1,5 +1,5 @@\n {\n  \"a\": 1,\n- \"b\": 2,\n+ \"b\": 5,\n  \"c\": 3\n }\n");
        assert_eq!(unified(&json!([1]), &json!([1])), "");
    }

    #[test]
    fn distant_changes_are_apart() {
        let list = |first: i32, last: i32| json!([first, 1, 2, 3, 4, 5, 6, 7, 8, last]);
        assert_eq!(unified(&list(0, 9), &list(-1, -9)).matches("@@ -").count(), 2);
    }
}
