//! The thread's place in its tree.

use std::cell::Cell;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use super::super::cpu;
use super::registry;
use crate::aggregate::call_paths::{Began, Node, Tree};

/// The thread's place in its tree. No destructor: usable at any time of the thread's life.
pub(super) struct Local {
    pub(super) tree: Cell<*const Tree>,
    /// The path of the call now running. Null before the first call, as `tree` is.
    pub(super) current: Cell<*const Node>,
    /// Ticks that calls have been charged with so far. What was charged while a call ran is its callees'; the rest of its time is its own.
    pub(super) charged_ticks: Cell<u64>,
    /// Whether a span may have ended that is still to be left.
    pub(super) has_strays: Cell<bool>,
    /// Nothing is recorded: the tree is being made, or is gone.
    closed: Cell<bool>,
}

thread_local! {
    pub(super) static LOCAL: Local = const {
        Local {
            tree: Cell::new(ptr::null()),
            current: Cell::new(ptr::null()),
            charged_ticks: Cell::new(0),
            has_strays: Cell::new(false),
            closed: Cell::new(false),
        }
    };
    /// Folds the thread's tree into the registry when the thread ends.
    static FOLD: Fold = const { Fold(Cell::new(None)) };
}

impl Local {
    /// Charges a call that ends now with what no other was charged with meanwhile.
    #[inline(always)]
    pub(super) fn charge(&self, node: &Node, began: Began, now: u64) {
        let charged = self.charged_ticks.get();
        let elapsed = now.saturating_sub(began.start);
        let own = elapsed.saturating_sub(charged.wrapping_sub(began.charged));
        node.add_ticks(own);
        self.charged_ticks.set(charged.wrapping_add(own));
    }

    /// Leaves spans that have ended, with nothing inside of them any more.
    #[cold]
    #[inline(never)]
    pub(super) fn leave_strays(&self, now: u64) {
        // SAFETY: null, or a node of this thread's tree, which lives until the thread's end and then is null again.
        while let Some(node) = unsafe { self.current.get().as_ref() }
            && let Some(began) = node.take_ended_span()
        {
            self.charge(node, began, now);
            self.current.set(node.parent());
        }
    }
}

struct Fold(Cell<Option<Arc<Tree>>>);

impl Drop for Fold {
    fn drop(&mut self) {
        LOCAL.with(|local| {
            local.closed.set(true);
            local.current.set(ptr::null());
            local.tree.set(ptr::null());
        });
        if let Some(tree) = self.0.take() {
            registry::fold(&tree);
        }
    }
}

/// Makes this thread's tree; false if it may not have one now.
pub(super) fn open_tree() -> bool {
    LOCAL.with(|local| {
        // Closed meanwhile: an annotated allocator is called by what follows.
        if local.closed.replace(true) {
            return false;
        }
        let tree = Arc::new(Tree::new());
        // Refused when the thread is ending and its destructors have run.
        if FOLD.try_with(|fold| fold.0.set(Some(Arc::clone(&tree)))).is_err() {
            return false;
        }
        local.current.set(tree.root());
        local.tree.set(Arc::as_ptr(&tree));
        registry::add(tree);
        cpu::register_thread(Duration::ZERO);
        local.closed.set(false);
        true
    })
}
