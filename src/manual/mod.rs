//! The pages of the manual, as `ossmount manual` prints them. They are the files of `docs/manual`, which forges render;
//! tests run their examples and hold their tables.

/// One page of the manual.
#[derive(Clone, Copy, Debug)]
pub struct ManualPage {
    /// The name that it is asked for by.
    pub name: &'static str,
    /// Its text in Markdown.
    pub text: &'static str,
}

macro_rules! pages {
    ($($name:literal),* $(,)?) => {
        &[$(ManualPage { name: $name, text: include_str!(concat!("../../docs/manual/", $name, ".md")) }),*]
    };
}

/// What lists the pages by what they are for.
pub const CONTENTS: &str = include_str!("../../docs/manual/README.md");

/// Every page, in the order of the contents.
pub const PAGES: &[ManualPage] = pages![
    "quick-start",
    "commands",
    "options",
    "json",
    "configuration",
    "credentials",
    "install",
    "running",
    "service",
    "kubernetes",
    "semantics",
    "reading",
    "models",
    "caching",
    "near",
    "listing",
    "past",
    "copying",
    "writing",
    "control",
    "monitoring",
    "defaults",
    "tuning",
    "troubleshooting",
    "migrating",
    "security",
    "kernel",
    "decisions",
    "glossary",
];

/// What [`PAGES`] names stands in the contents, in the same order, and nothing else.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contents_list_every_page() {
        let linked: Vec<&str> = CONTENTS.split("](").skip(1).filter_map(|rest| rest.split(".md)").next()).collect();
        assert_eq!(linked, PAGES.iter().map(|page| page.name).collect::<Vec<_>>());
        for page in PAGES {
            assert!(page.text.starts_with("# "), "{}", page.name);
        }
    }
}
