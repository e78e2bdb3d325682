//! Names for key components: which component is a safe name as it is, and what the others are called.
//!
//! A *component* is what lies between two `/` of a key, or behind the last one. Most are their own names. With
//! [`OddKeys::Escape`] the others get names that start with `%oss-`:
//!
//! | component | name |
//! |---|---|
//! | a file that is empty (a marker with content), `.`, `..`, holds a NUL or starts with `%oss-` | `%oss-file=` and the component |
//! | a file `a` beside a directory `a/` | `%oss-file=a` |
//! | a directory that is empty, `.`, `..`, holds a NUL or starts with `%oss-` | `%oss-dir=` and the component |
//! | one whose name would take more than 255 bytes | a directory `%oss-part=` and the first [`PIECE_BYTES`] bytes or a little less; in it what is left of the component, by the same rules |
//!
//! Behind the `=`, `%` is written `%25` and NUL `%00`; everything else stands for itself. So every component has one
//! path of safe names, and the path gives the component back: a name of the table always starts with `%oss-`, and a
//! component that starts so is never its own name.
//!
//! A part directory is a directory like any other, whose key prefix does not end in `/`. Listing that prefix shows
//! the long components that start with it, and short ones too; [`belongs_in_part`] tells them apart.

/// The longest name that Linux takes, in bytes.
pub const NAME_BYTES: usize = 255;

/// The longest escaped text of a part directory's piece, in bytes.
pub const PIECE_BYTES: usize = NAME_BYTES - PART.len();

const MARK: &str = "%oss-";
const FILE: &str = "%oss-file=";
const DIR: &str = "%oss-dir=";
const PART: &str = "%oss-part=";

/// How keys that cannot be file names are shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OddKeys {
    /// They are left out.
    #[default]
    Hide,
    /// They get an escaped name.
    Escape,
}

/// What a component stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// The end of a key.
    File,
    /// The end of a key, beside a directory of the same component.
    Shadowed,
    /// Further components follow this one.
    Directory,
}

/// Where a component is shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Shown<'a> {
    /// Under its own name.
    Plain(&'a str),
    /// It is shown under another name.
    Escaped(String),
    /// In a part directory that starts with this piece of the component, which is never all of it.
    InPart(&'a str),
    /// It is not shown anywhere.
    Hidden(Odd),
}

/// Why a component has no name of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Odd {
    /// A marker object that has content, or a doubled or leading `/`.
    Empty,
    /// The component is `.` or `..`.
    Dots,
    /// The component has more than 255 bytes.
    TooLong,
    /// The component holds a NUL byte.
    Nul,
    /// An object beside a directory of the same name.
    Shadowed,
    /// It looks like an escaped name.
    Mark,
}

impl Odd {
    /// The reason in words, to follow "its name".
    pub fn reason(self) -> &'static str {
        match self {
            Odd::Empty => "would be empty",
            Odd::Dots => "would be `.` or `..`",
            Odd::TooLong => "would be over 255 bytes long",
            Odd::Nul => "would hold a NUL byte",
            Odd::Shadowed => "is taken by the directory of the same name",
            Odd::Mark => "looks like an escaped name",
        }
    }
}

/// What a name can stand for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Parsed {
    /// A directory or a file of this component.
    Plain(String),
    /// A file of this component.
    File(String),
    /// A directory of this component.
    Directory(String),
    /// A part directory of this piece.
    Part(String),
    /// Nothing: no component is ever called so.
    Nothing,
}

fn odd(component: &str, role: Role, odd_keys: OddKeys) -> Option<Odd> {
    match component {
        "" => Some(Odd::Empty),
        "." | ".." => Some(Odd::Dots),
        _ if role == Role::Shadowed => Some(Odd::Shadowed),
        _ if component.contains('\0') => Some(Odd::Nul),
        _ if odd_keys == OddKeys::Escape && component.starts_with(MARK) => Some(Odd::Mark),
        _ => None,
    }
}

/// What a component is called.
pub fn shown(component: &str, role: Role, odd_keys: OddKeys) -> Shown<'_> {
    let odd = odd(component, role, odd_keys);
    match (odd, odd_keys) {
        (None, _) if component.len() <= NAME_BYTES => Shown::Plain(component),
        (None, OddKeys::Hide) => Shown::Hidden(Odd::TooLong),
        (Some(odd), OddKeys::Hide) => Shown::Hidden(odd),
        (None, OddKeys::Escape) => Shown::InPart(piece(component)),
        (Some(_), OddKeys::Escape) => {
            let mark = if role == Role::Directory { DIR } else { FILE };
            let name = format!("{mark}{}", encode(component));
            if name.len() <= NAME_BYTES { Shown::Escaped(name) } else { Shown::InPart(piece(component)) }
        }
    }
}

/// Whether `rest`, found below the part directory of `piece`, is the rest of a long component and not of a short one
/// that starts like it.
pub fn belongs_in_part(piece: &str, rest: &str, role: Role) -> bool {
    matches!(shown(&format!("{piece}{rest}"), role, OddKeys::Escape), Shown::InPart(_))
}

/// The name of a part directory.
pub fn part_name(piece: &str) -> String {
    format!("{PART}{}", encode(piece))
}

/// What a name can stand for; the caller finds out whether it does.
pub fn parse(name: &str, odd_keys: OddKeys) -> Parsed {
    if name.is_empty() || name == "." || name == ".." || name.len() > NAME_BYTES || name.contains(['/', '\0']) {
        return Parsed::Nothing;
    }
    if odd_keys == OddKeys::Hide || !name.starts_with(MARK) {
        return Parsed::Plain(name.to_owned());
    }
    let decoded = |mark: &str| name.strip_prefix(mark).and_then(decode);
    if let Some(component) = decoded(FILE) {
        Parsed::File(component)
    } else if let Some(component) = decoded(DIR) {
        Parsed::Directory(component)
    } else if let Some(piece) = decoded(PART) {
        Parsed::Part(piece)
    } else {
        Parsed::Nothing
    }
}

/// The names on the way from a directory to a component of it; `None` where it is hidden.
pub fn path(component: &str, role: Role, odd_keys: OddKeys) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut rest = component;
    loop {
        match shown(rest, role, odd_keys) {
            Shown::Plain(name) => names.push(name.to_owned()),
            Shown::Escaped(name) => names.push(name),
            Shown::Hidden(_) => return None,
            Shown::InPart(piece) => {
                names.push(part_name(piece));
                rest = &rest[piece.len()..];
                continue;
            }
        }
        return Some(names);
    }
}

/// The longest beginning of a component whose escaped text fits a part directory's name. It depends on nothing but
/// that beginning, so that components which share it share the directory.
fn piece(component: &str) -> &str {
    let mut used = 0;
    for (at, c) in component.char_indices() {
        used += if matches!(c, '%' | '\0') { 3 } else { c.len_utf8() };
        if used > PIECE_BYTES {
            return &component[..at];
        }
    }
    component
}

fn encode(component: &str) -> String {
    component.replace('%', "%25").replace('\0', "%00")
}

fn decode(text: &str) -> Option<String> {
    let mut decoded = String::with_capacity(text.len());
    let mut pieces = text.split('%');
    decoded.push_str(pieces.next()?);
    for piece in pieces {
        let (code, rest) = piece.split_at_checked(2)?;
        decoded.push(match code {
            "25" => '%',
            "00" => '\0',
            _ => return None,
        });
        decoded.push_str(rest);
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn component() -> impl Strategy<Value = String> {
        prop_oneof![
            4 => "[a.%\0é-]{0,4}",
            2 => "(%oss-(file|dir|part)?=?)?[.%a\0]{0,3}",
            1 => "[a-c]{240,260}",
            1 => "[a%é]{80,300}",
            1 => "(%oss-)?[a\0.]{200,600}",
        ]
    }

    fn role() -> impl Strategy<Value = Role> {
        prop_oneof![Just(Role::File), Just(Role::Shadowed), Just(Role::Directory)]
    }

    /// Reads a path back, by the names alone.
    fn component_of(path: &[String]) -> Option<(String, bool)> {
        let (last, parts) = path.split_last()?;
        let mut component = String::new();
        for name in parts {
            let Parsed::Part(piece) = parse(name, OddKeys::Escape) else { return None };
            component.push_str(&piece);
        }
        let (rest, marked) = match parse(last, OddKeys::Escape) {
            Parsed::Plain(rest) => (rest, false),
            Parsed::File(rest) | Parsed::Directory(rest) => (rest, true),
            Parsed::Part(_) | Parsed::Nothing => return None,
        };
        Some((component + &rest, marked))
    }

    fn check(component: &str, role: Role, expected: &str) {
        let path = path(component, role, OddKeys::Escape).unwrap().join("/");
        assert_eq!(path, expected, "{component:?} as {role:?}");
    }

    #[test]
    fn names_of_odd_components() {
        check("a b", Role::File, "a b");
        check("50%", Role::Directory, "50%");
        check("a", Role::Shadowed, "%oss-file=a");
        check("", Role::File, "%oss-file=");
        check("", Role::Directory, "%oss-dir=");
        check("..", Role::Directory, "%oss-dir=..");
        check("x\0%", Role::File, "%oss-file=x%00%25");
        check("%oss-file=a", Role::File, "%oss-file=%25oss-file=a");
        check(&"n".repeat(255), Role::File, &"n".repeat(255));
        let long = "n".repeat(600);
        let part = format!("%oss-part={}", "n".repeat(245));
        check(&long, Role::Directory, &format!("{part}/{part}/{}", "n".repeat(110)));
        assert_eq!(path(&long, Role::File, OddKeys::Hide), None);
        assert_eq!(parse("%oss-file=%", OddKeys::Escape), Parsed::Nothing);
        assert_eq!(parse("%oss-file=%", OddKeys::Hide), Parsed::Plain("%oss-file=%".to_owned()));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_component_has_a_safe_name_that_gives_it_back(component in component(), role in role()) {
            let path = path(&component, role, OddKeys::Escape).unwrap();
            for name in &path {
                prop_assert!(!name.is_empty() && name != "." && name != "..");
                prop_assert!(name.len() <= NAME_BYTES && !name.contains(['/', '\0']));
            }
            let (back, marked) = component_of(&path).unwrap();
            prop_assert_eq!(&back, &component);
            // A shadowed file is always marked, so that it never meets the directory that shadows it.
            prop_assert!(marked || role != Role::Shadowed);
        }

        #[test]
        fn no_two_components_share_a_path(a in component(), b in component(), role_a in role(), role_b in role()) {
            let path_a = path(&a, role_a, OddKeys::Escape);
            let path_b = path(&b, role_b, OddKeys::Escape);
            if path_a == path_b {
                prop_assert_eq!(a, b);
                // The two that can stand side by side never meet.
                let roles = [role_a, role_b];
                prop_assert!(!(roles.contains(&Role::Shadowed) && roles.contains(&Role::Directory)));
            }
        }

        #[test]
        fn parts_hold_long_components_only(component in component(), role in role()) {
            let mut rest = component.as_str();
            while let Shown::InPart(piece) = shown(rest, role, OddKeys::Escape) {
                prop_assert!(piece.len() < rest.len() && !piece.is_empty());
                prop_assert!(belongs_in_part(piece, &rest[piece.len()..], role));
                rest = &rest[piece.len()..];
            }
        }

        #[test]
        fn hidden_mode_shows_a_component_as_it_is_or_not_at_all(component in component(), role in role()) {
            match path(&component, role, OddKeys::Hide) {
                Some(names) => prop_assert_eq!(names, [component]),
                None => prop_assert!(shown(&component, role, OddKeys::Hide) != Shown::Plain(&component)),
            }
        }
    }
}
