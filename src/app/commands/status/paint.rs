//! Lines for a terminal: text in colours, cut to a width; bars and curves of characters.
//!
//! Colours are left out where NO_COLOR is set, and blocks are drawn of ASCII where the locale has no UTF-8.

use std::env;

/// What a piece of text is to look like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Paint {
    Plain,
    Bold,
    Dim,
    Good,
    Warning,
    Bad,
    First,
    Second,
    Third,
}

impl Paint {
    /// The parameters of the sequence that begins it; those of the 16 colours that every terminal with colours has.
    fn parameters(self) -> Option<&'static str> {
        match self {
            Paint::Plain => None,
            Paint::Bold => Some("1"),
            Paint::Dim => Some("2"),
            Paint::Good => Some("32"),
            Paint::Warning => Some("33"),
            Paint::Bad => Some("1;31"),
            Paint::First => Some("34"),
            Paint::Second => Some("35"),
            Paint::Third => Some("36"),
        }
    }
}

/// What a terminal can show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ScreenStyle {
    pub(super) columns: usize,
    pub(super) rows: usize,
    pub(super) has_colours: bool,
    pub(super) has_blocks: bool,
}

impl ScreenStyle {
    /// As the environment says.
    pub(super) fn of((columns, rows): (usize, usize)) -> ScreenStyle {
        let text = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(text).unwrap_or_default().to_ascii_lowercase();
        ScreenStyle {
            columns,
            rows,
            has_colours: text("NO_COLOR").is_none(),
            has_blocks: locale.contains("utf-8") || locale.contains("utf8"),
        }
    }

    /// Values as a curve of one character each, the latest last; what is not known is left blank.
    pub(super) fn curve(self, values: &[Option<f64>], width: usize) -> String {
        let levels: Vec<char> = if self.has_blocks { "▁▂▃▄▅▆▇█" } else { "_.-:=+*#" }.chars().collect();
        let shown = &values[values.len().saturating_sub(width)..];
        let most = shown.iter().flatten().copied().fold(0.0, f64::max);
        let level = |value: f64| {
            let share = if most > 0.0 { value / most } else { 0.0 };
            // From 0 to the last: no value is above the most.
            levels[((share * levels.len() as f64).ceil() as usize).clamp(1, levels.len()) - 1]
        };
        let curve: String = shown.iter().map(|value| value.map_or(' ', level)).collect();
        format!("{curve:>width$}")
    }

    /// A bar of parts of a whole, each in its colour; where there are none, each in its letter.
    pub(super) fn bar(self, parts: &[(Paint, char, u64)], whole: u64, width: usize) -> Painted {
        let whole = whole.max(parts.iter().map(|part| part.2).sum()).max(1);
        let mut line = Painted::default().plain("[");
        let (mut sum, mut drawn) = (0_u64, 0);
        for (paint, letter, bytes) in parts {
            sum += bytes;
            let upto = (sum as f64 / whole as f64 * width as f64).round() as usize;
            let mark = if self.has_colours && self.has_blocks { '█' } else { *letter };
            line = line.with(*paint, String::from(mark).repeat(upto.saturating_sub(drawn)));
            drawn = drawn.max(upto);
        }
        let rest = if self.has_blocks { "░" } else { "." };
        line.with(Paint::Dim, rest.repeat(width.saturating_sub(drawn))).plain("]")
    }
}

/// A line of text in colours.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Painted(Vec<(Paint, String)>);

impl Painted {
    /// With more text behind it.
    pub(super) fn with(mut self, paint: Paint, text: impl Into<String>) -> Painted {
        self.0.push((paint, text.into()));
        self
    }

    pub(super) fn plain(self, text: impl Into<String>) -> Painted {
        self.with(Paint::Plain, text)
    }

    /// With another line behind it.
    pub(super) fn then(mut self, other: Painted) -> Painted {
        self.0.extend(other.0);
        self
    }

    /// How many columns it takes.
    #[cfg(test)]
    pub(super) fn width(&self) -> usize {
        self.0.iter().map(|(_, text)| columns_of(text)).sum()
    }

    /// As a terminal shows it, within its columns.
    pub(super) fn drawn(&self, style: ScreenStyle) -> String {
        let (mut out, mut left) = (String::new(), style.columns);
        for (paint, text) in &self.0 {
            let cut = match within(text, left) {
                cut if cut.len() < text.len() && *paint == Paint::Plain => whole_parts(text, cut, out.is_empty()),
                cut => cut,
            };
            left -= columns_of(cut);
            match paint.parameters().filter(|_| style.has_colours && !cut.is_empty()) {
                Some(parameters) => out.push_str(&format!("\x1b[{parameters}m{cut}\x1b[0m")),
                None => out.push_str(cut),
            }
            if cut.len() < text.len() {
                out.truncate(out.trim_end_matches(' ').len());
                break;
            }
        }
        out
    }
}

/// The columns of a character; those of East Asian scripts and of most pictures take two.
fn columns_of_char(c: char) -> usize {
    let is_wide = matches!(u32::from(c), 0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f | 0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f300..=0x1faff | 0x20000..=0x3fffd);
    if is_wide { 2 } else { 1 }
}

fn columns_of(text: &str) -> usize {
    text.chars().map(columns_of_char).sum()
}

/// As much of the beginning as fits in so many columns.
fn within(text: &str, columns: usize) -> &str {
    let mut taken = 0;
    let end = text.char_indices().find(|(_, c)| {
        taken += columns_of_char(*c);
        taken > columns
    });
    &text[..end.map_or(text.len(), |(at, _)| at)]
}

/// What a list that was cut has in full: half a number would be taken for one. A line is not left empty.
fn whole_parts<'a>(text: &str, cut: &'a str, is_first: bool) -> &'a str {
    let is_between = |rest: &str| rest.starts_with([',', ';']) || rest.starts_with("  ");
    let end = cut.char_indices().map(|(at, _)| at).chain([cut.len()]).rfind(|at| is_between(&text[*at..]));
    match end {
        Some(at) => &cut[..at],
        None if is_first => cut,
        None => "",
    }
}

/// The end of a text, which tells names apart, in so many columns.
pub(super) fn end_within(text: &str, columns: usize) -> String {
    if columns_of(text) <= columns {
        return text.to_owned();
    }
    let mut taken = 3;
    let chars: Vec<(usize, char)> = text.char_indices().collect();
    let from = chars.iter().rev().take_while(|(_, c)| {
        taken += columns_of_char(*c);
        taken <= columns
    });
    from.last().map_or_else(String::new, |(at, _)| format!("...{}", &text[*at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STYLE: ScreenStyle = ScreenStyle { columns: 8, rows: 24, has_colours: true, has_blocks: true };
    const BARE: ScreenStyle = ScreenStyle { has_colours: false, has_blocks: false, ..STYLE };

    #[test]
    fn lines_are_cut_to_columns_and_colours_end_with_them() {
        let line = Painted::default().with(Paint::Bad, "abcdef").plain("").with(Paint::Good, "模型x").plain("y");
        assert_eq!(line.width(), 12);
        assert_eq!(line.drawn(STYLE), "\x1b[1;31mabcdef\x1b[0m\x1b[32m模\x1b[0m");
        assert_eq!(line.drawn(ScreenStyle { columns: 7, ..BARE }), "abcdef");
        assert_eq!(line.drawn(ScreenStyle { columns: 80, ..BARE }), "abcdef模型xy");
        assert_eq!([9, 6, 3].map(|columns| end_within("dir/模型.bin", columns)), ["...型.bin", "...bin", ""]);
        assert_eq!(end_within("a.bin", 5), "a.bin");
    }

    #[test]
    fn of_lists_that_are_cut_no_part_is_half_there() {
        let line = Painted::default().with(Paint::Bold, "read ").plain("12 files, 3.5MiB; 2 waiting");
        let drawn = [32, 31, 21, 20, 14, 13].map(|columns| line.drawn(ScreenStyle { columns, ..BARE }));
        let expected =
            ["12 files, 3.5MiB; 2 waiting", "12 files, 3.5MiB", "12 files, 3.5MiB", "12 files", "12 files", "12 files"];
        assert_eq!(drawn, expected.map(|rest| format!("read {rest}")));
        assert_eq!(line.drawn(ScreenStyle { columns: 10, ..BARE }), "read");
        assert_eq!(Painted::default().plain("12 files").drawn(ScreenStyle { columns: 5, ..BARE }), "12 fi");
    }

    #[test]
    fn curves_end_with_the_latest_value() {
        let values = [Some(8.0), Some(0.0), None, Some(1.0), Some(4.0), Some(8.0)];
        assert_eq!(STYLE.curve(&values, 5), "▁ ▁▄█");
        assert_eq!(BARE.curve(&values, 8), "  #_ _:#");
        assert_eq!(STYLE.curve(&[Some(0.0)], 3), "  ▁");
    }

    #[test]
    fn bars_show_parts_of_a_whole() {
        let parts = [(Paint::First, 'd', 50), (Paint::Second, 'p', 0), (Paint::Third, 'n', 25)];
        let drawn = |style: ScreenStyle, whole| style.bar(&parts, whole, 8).drawn(ScreenStyle { columns: 80, ..style });
        assert_eq!(drawn(BARE, 100), "[ddddnn..]");
        assert_eq!(drawn(BARE, 0), "[dddddnnn]", "more than the whole");
        assert!(drawn(STYLE, 100).starts_with("[\x1b[34m████\x1b[0m\x1b[36m██\x1b[0m"));
    }
}
