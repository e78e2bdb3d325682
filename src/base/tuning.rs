//! Tuned numbers: what measurements or arithmetic led to, each declared once with its reason, and set by its name for
//! the benchmarks that sweep it.
//!
//! They are no options: most of them make sense only to those who know how they work together. Numbers that only bound
//! a list or a loop stay beside it.

/// Declares the struct `Tuning` of a room: what its numbers are about, then documentation, name and default of each.
macro_rules! tuned_numbers {
    ($room:literal, $about:literal; $($(#[$doc:meta])* $name:ident = $default:expr;)*) => {
        #[doc = concat!("The tuned numbers of ", $about, ".")]
        ///
        /// Each is 1 or more, and names end in their unit, if they have one: a number is set by [`Tuning::set`], and
        /// explained where it is declared.
        #[derive(Clone, PartialEq, Eq, Debug)]
        pub struct Tuning {
            $($(#[$doc])* pub(super) $name: u64,)*
        }

        impl Default for Tuning {
            fn default() -> Self {
                Tuning { $($name: $default,)* }
            }
        }

        impl Tuning {
            /// The names of all numbers, in the order in which they are explained.
            pub const NAMES: &[&str] = &[$(stringify!($name),)*];

            /// Sets a number by its name. Fails with a sentence that says what to do.
            pub fn set(&mut self, name: &str, value: u64) -> Result<(), String> {
                if value == 0 {
                    return Err(format!("{name} must be 1 or more"));
                }
                match name {
                    $(stringify!($name) => self.$name = value,)*
                    _ => {
                        let names = concat!($room, "::Tuning::NAMES");
                        return Err(format!("{name} is no tuned number of {}: see {names}", $about));
                    }
                }
                Ok(())
            }
        }
    };
}

pub(crate) use tuned_numbers;
