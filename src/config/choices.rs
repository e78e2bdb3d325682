//! The words of options that take one of several: each stands for a variant of the type that the room below works with.
//!
//! A variant without a word does not compile, and a word that a row of the table offers is one that is read: both come
//! from the list here.

use super::run::LogFormat;
use crate::{fs, fuse, read, store};

/// A type whose variants are chosen by a word.
pub(super) trait Choice: Copy + PartialEq + Sized + 'static {
    /// The words, in the order in which they are shown.
    const WORDS: &'static [&'static str];

    /// The variants, in the order of their words.
    const VARIANTS: &'static [Self];

    /// The word of a variant.
    fn word(self) -> &'static str;

    /// The variant of a word; `None` for any other text.
    fn of_word(word: &str) -> Option<Self> {
        Self::VARIANTS.iter().copied().find(|variant| variant.word() == word)
    }
}

/// The words of a choice, for a row of the table.
pub(super) const fn words<T: Choice>() -> &'static [&'static str] {
    T::WORDS
}

macro_rules! choice {
    ($choice:ty { $($word:literal => $variant:ident),* $(,)? }) => {
        impl Choice for $choice {
            const WORDS: &'static [&'static str] = &[$($word),*];
            const VARIANTS: &'static [Self] = &[$(Self::$variant),*];

            fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),*
                }
            }
        }
    };
}

/// Who pays for requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Payer {
    /// The owner of the bucket.
    Owner,
    /// The account that sends the request.
    Requester,
}

/// Where access keys come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum KeySource {
    /// The first that is there.
    Auto,
    /// Variables of the environment.
    Env,
    /// A file with keys.
    File,
    /// A program that prints keys.
    Process,
    /// The role of the ECS instance.
    EcsRole,
    /// A token of the cluster.
    Oidc,
    /// A service at a URL.
    Uri,
    /// None: requests are not signed.
    Anonymous,
}

choice!(store::Addressing { "auto" => Auto, "virtual" => Virtual, "path" => Path, "cname" => Cname });
choice!(store::Sign { "v4" => V4, "v1" => V1, "none" => None });
choice!(Payer { "none" => Owner, "requester" => Requester });
choice!(KeySource {
    "auto" => Auto,
    "env" => Env,
    "file" => File,
    "process" => Process,
    "ecs-role" => EcsRole,
    "oidc" => Oidc,
    "uri" => Uri,
    "anonymous" => Anonymous,
});
choice!(fs::OddKeys { "hide" => Hide, "escape" => Escape });
choice!(fs::ListingMode { "auto" => Auto, "lazy" => Lazy, "eager" => Eager });
choice!(fs::DirectIo { "auto" => Auto, "on" => On, "off" => Off });
choice!(read::Prefetch { "auto" => Auto, "open" => Open, "off" => Off });
choice!(read::Verify { "crc64" => Crc64, "off" => Off });
choice!(read::MemoryCache { "auto" => Auto, "off" => Off });
choice!(read::NearTrust { "parts" => Parts, "whole" => Whole });
choice!(read::Passthrough { "auto" => Auto, "off" => Off });
choice!(fuse::BridgeUse { "auto" => Auto, "on" => On, "loop" => Loop, "off" => Off });
choice!(LogFormat { "text" => Text, "json" => Json });

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: Choice + std::fmt::Debug>() {
        assert_eq!(T::WORDS.len(), T::VARIANTS.len());
        for (word, variant) in T::WORDS.iter().zip(T::VARIANTS) {
            assert_eq!((variant.word(), T::of_word(word)), (*word, Some(*variant)));
        }
        for word in ["", "AUTO", "of", "offf"] {
            assert_eq!(T::of_word(word), None);
        }
    }

    #[test]
    fn each_word_is_one_variant() {
        check::<store::Addressing>();
        check::<store::Sign>();
        check::<Payer>();
        check::<KeySource>();
        check::<fs::OddKeys>();
        check::<fs::ListingMode>();
        check::<fs::DirectIo>();
        check::<read::Prefetch>();
        check::<read::Verify>();
        check::<read::MemoryCache>();
        check::<read::NearTrust>();
        check::<read::Passthrough>();
        check::<fuse::BridgeUse>();
        check::<LogFormat>();
    }
}
