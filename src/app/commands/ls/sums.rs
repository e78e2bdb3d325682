//! The sums of a listing: objects and bytes, in total and by storage class.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::lines::{Sizes, Style};
use crate::app::commands::text::{counted, shown};
use crate::list::Page;

/// Where the server tells no class.
const NO_CLASS: &str = "unknown";

/// The sums of the pages so far. Their size depends on the number of storage classes alone.
pub(super) struct Sums {
    style: Style,
    sizes: Sizes,
    total: Total,
}

#[derive(Default, Serialize)]
struct Total {
    objects: u64,
    bytes: u64,
    /// Where only one level is listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    directories: Option<u64>,
    storage_classes: BTreeMap<Box<str>, Class>,
}

#[derive(Default, Serialize)]
struct Class {
    objects: u64,
    bytes: u64,
}

impl Sums {
    /// Of a listing of everything, or of one level.
    pub(super) fn new(is_recursive: bool, style: Style, sizes: Sizes) -> Self {
        let directories = (!is_recursive).then_some(0);
        Sums { style, sizes, total: Total { directories, ..Total::default() } }
    }

    /// Adds the entries of a page.
    pub(super) fn add(&mut self, page: &Page) {
        let total = &mut self.total;
        total.objects += page.entries.len() as u64;
        if let Some(directories) = &mut total.directories {
            *directories += page.prefixes.len() as u64;
        }
        for entry in &page.entries {
            let name = entry.storage_class.as_ref().map_or(NO_CLASS, |class| &class.0);
            if !total.storage_classes.contains_key(name) {
                total.storage_classes.insert(name.into(), Class::default());
            }
            if let Some(class) = total.storage_classes.get_mut(name) {
                class.objects += 1;
                class.bytes = class.bytes.saturating_add(entry.size);
            }
            total.bytes = total.bytes.saturating_add(entry.size);
        }
    }

    /// As it is printed: lines, or one of JSON.
    pub(super) fn text(&self) -> String {
        let total = &self.total;
        if self.style == Style::Json {
            // Numbers and texts always have their JSON.
            return serde_json::to_string(total).unwrap_or_default() + "\n";
        }
        let bytes = |number: u64, noun: &str| match self.sizes {
            Sizes::Human => self.sizes.text(number),
            Sizes::Bytes => {
                format!("{}{}", if noun.is_empty() { number.to_string() } else { counted(number, noun) }, rough(number))
            }
        };
        let mut text = format!("{:<16}{}\n{:<16}{}\n", "objects", total.objects, "bytes", bytes(total.bytes, ""));
        if let Some(directories) = total.directories {
            let _ = writeln!(text, "{:<16}{directories}", "directories");
        }
        for (name, class) in &total.storage_classes {
            let objects = counted(class.objects, "object");
            let _ = writeln!(text, "{:<16}{objects}, {}", shown(name), bytes(class.bytes, "byte"));
        }
        text
    }
}

/// ` (1.5 GiB)`, for people, where the number of bytes is a long one.
fn rough(bytes: u64) -> String {
    let units = [(1_u64 << 50, "PiB"), (1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = units.into_iter().find(|(unit, _)| bytes >= *unit);
    unit.map_or_else(String::new, |(unit, name)| format!(" ({:.1} {name})", bytes as f64 / unit as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{ListEntry, ObjectKind, StorageClass};

    fn entry(size: u64, class: Option<&str>) -> ListEntry {
        let storage_class = class.map(|class| StorageClass(class.into()));
        let key = format!("k{size}");
        ListEntry { key, size, etag: None, last_modified: None, kind: ObjectKind::Normal, storage_class, version: None }
    }

    fn sums(is_recursive: bool, style: Style) -> String {
        let mut sums = Sums::new(is_recursive, style, Sizes::Bytes);
        let entries = vec![entry(1 << 20, Some("Standard")), entry(u64::MAX, Some("IA"))];
        sums.add(&Page { entries, prefixes: vec!["d/".to_owned()], ..Page::default() });
        sums.add(&Page { entries: vec![entry(1 << 19, Some("Standard")), entry(5, None)], ..Page::default() });
        sums.text()
    }

    #[test]
    fn sums_by_class() {
        expect_test::expect![[r#"
            objects         4
            bytes           18446744073709551615 (16384.0 PiB)
            IA              1 object, 18446744073709551615 bytes (16384.0 PiB)
            Standard        2 objects, 1572864 bytes (1.5 MiB)
            unknown         1 object, 5 bytes
        "#]]
        .assert_eq(&sums(true, Style::Names));
        expect_test::expect![[r#"
            {"objects":4,"bytes":18446744073709551615,"directories":1,"storage_classes":{"IA":{"objects":1,"bytes":18446744073709551615},"Standard":{"objects":2,"bytes":1572864},"unknown":{"objects":1,"bytes":5}}}
        "#]].assert_eq(&sums(false, Style::Json));
    }
}
