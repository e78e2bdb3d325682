//! Tests of the bridge, run once more with a loop device.

use std::cell::Cell;

use ossmount::fuse::BridgeUse;

thread_local! {
    static WANTED: Cell<BridgeUse> = const { Cell::new(BridgeUse::On) };
}

/// The bridge that this test is about.
pub(crate) fn wanted() -> BridgeUse {
    WANTED.get()
}

/// The same, as a value of the option.
pub(crate) fn word() -> &'static str {
    match wanted() {
        BridgeUse::Loop => "loop",
        _ => "on",
    }
}

/// From now on this test is about a bridge by a loop device.
pub(crate) fn want_loop_device() {
    WANTED.set(BridgeUse::Loop);
}

/// Runs tests once more, with a loop device.
macro_rules! also_by_loop_device {
    ($($test:ident)*) => {
        mod by_loop_device {
            $(
                #[test]
                fn $test() {
                    crate::support::bridges::want_loop_device();
                    super::$test();
                }
            )*
        }
    };
}

pub(crate) use also_by_loop_device;
