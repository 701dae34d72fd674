//! What tests ask of a type and its original alike.

/// Whether a type implements a trait.
macro_rules! implements {
    ($ty:ty: $($bound:tt)*) => {{
        #[allow(dead_code)]
        trait Otherwise {
            const YES: bool = false;
        }
        impl<T: ?Sized> Otherwise for T {}
        #[allow(dead_code)]
        struct Probe<T: ?Sized>(std::marker::PhantomData<T>);
        #[allow(dead_code)]
        impl<T: ?Sized + $($bound)*> Probe<T> {
            const YES: bool = true;
        }
        <Probe<$ty>>::YES
    }};
}

/// Asserts that two types have the same auto traits.
macro_rules! same_auto_traits {
    ($original:ty, $ours:ty) => {{
        macro_rules! auto_traits {
                        ($ty:ty) => {
                            [
                                $crate::sync::shape::implements!($ty: Send),
                                $crate::sync::shape::implements!($ty: Sync),
                                $crate::sync::shape::implements!($ty: Unpin),
                                $crate::sync::shape::implements!($ty: std::panic::UnwindSafe),
                                $crate::sync::shape::implements!($ty: std::panic::RefUnwindSafe),
                            ]
                        };
                    }
        assert_eq!(auto_traits!($ours), auto_traits!($original), stringify!($ours));
    }};
}

pub(crate) use implements;
pub(crate) use same_auto_traits;
