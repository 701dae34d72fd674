//! See `overhead/`.
