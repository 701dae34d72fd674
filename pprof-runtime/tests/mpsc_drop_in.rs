//! The cases over our channels with the block profile off, as a program has them that never turns it on.

use pprof_runtime::sync::mpsc;

mod mpsc_cases;
