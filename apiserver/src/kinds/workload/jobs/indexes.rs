//! Lists of indexes: `0-3,5`. See `validateIndexesFormat`, `parseIndexInterval` in `pkg/apis/batch/validation/validation.go`.

/// How many indexes there are, all below `completions` and rising.
pub fn count(list: &str, completions: i64) -> Result<i64, String> {
    if list.is_empty() {
        return Ok(0);
    }
    let (mut total, mut last): (i64, Option<i64>) = (0, None);
    for part in list.split(',') {
        let (first, end) = interval(part, completions)?;
        if let Some(last) = last.filter(|last| *last >= first) {
            return Err(format!("non-increasing order, previous: {last}, current: {first}"));
        }
        total += end - first + 1;
        last = Some(end);
    }
    Ok(total)
}

/// The first index that two lists share, if they do. What cannot be read is skipped.
pub fn overlap(one: &str, other: &str, completions: i64) -> Option<i64> {
    let intervals = |list: &str| -> Vec<(i64, i64)> { list.split(',').filter_map(|part| interval(part, completions).ok()).collect() };
    let others = intervals(other);
    intervals(one)
        .into_iter()
        .flat_map(|(start, end)| others.iter().filter(move |(from, to)| start <= *to && *from <= end).map(move |(from, _)| start.max(*from)))
        .min()
}

fn interval(part: &str, completions: i64) -> Result<(i64, i64), String> {
    let limits: Vec<&str> = part.split('-').collect();
    let read = |text: &str| match text.parse::<i64>() {
        Err(_) => Err(format!("cannot convert string to integer for index: {text:?}")),
        Ok(number) if number >= completions => Err(format!("too large index: {text:?}")),
        Ok(number) => Ok(number),
    };
    match limits.as_slice() {
        [one] => read(one).map(|one| (one, one)),
        [first, last] => {
            let (first, last) = (read(first)?, read(last)?);
            if first >= last { Err(format!("non-increasing order, previous: {first}, current: {last}")) } else { Ok((first, last)) }
        }
        _ => Err(format!("the fragment {part:?} violates the requirement that an index interval can have at most two parts separated by '-'")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        for (list, expected) in [
            ("", Ok(0)),
            ("0,2-4", Ok(4)),
            ("3,2", Err("non-increasing order, previous: 3, current: 2")),
            ("10", Err("too large index: \"10\"")),
            ("a", Err("cannot convert string to integer for index: \"a\"")),
            ("4-2", Err("non-increasing order, previous: 4, current: 2")),
        ] {
            assert_eq!(count(list, 10), expected.map_err(str::to_owned), "{list}");
        }
        assert_eq!(overlap("0-3,7", "2,7", 10), Some(2));
        assert_eq!(overlap("0-3", "4", 10), None);
    }
}
