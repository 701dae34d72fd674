//! Which functions are the profiler's own, or the allocator's: old formats cannot say, so it is said for them by what was measured.

use crate::profile::Profile;

/// Types of heap profiles, those of Go's first ones included.
const HEAP: [&[&str]; 5] = [
    &["allocations", "size"],
    &["objects", "space"],
    &["inuse_objects", "inuse_space"],
    &["alloc_objects", "alloc_space"],
    &["alloc_objects", "alloc_space", "inuse_objects", "inuse_space"],
];

const CONTENTION: [&str; 2] = ["contentions", "delay"];

/// Allocators of C, of C++ and of Go. The order is that of pprof, as the expression is written into the profiles that are made of these.
const ALLOCATORS: &[&str] = &[
    "calloc",
    "cfree",
    "malloc",
    "free",
    "memalign",
    "do_memalign",
    "(__)?posix_memalign",
    "pvalloc",
    "valloc",
    "realloc",
    "tcmalloc::.*",
    "tc_calloc",
    "tc_cfree",
    "tc_malloc",
    "tc_free",
    "tc_memalign",
    "tc_posix_memalign",
    "tc_pvalloc",
    "tc_valloc",
    "tc_realloc",
    "tc_new",
    "tc_delete",
    "tc_newarray",
    "tc_deletearray",
    "tc_new_nothrow",
    "tc_newarray_nothrow",
    "malloc_zone_malloc",
    "malloc_zone_calloc",
    "malloc_zone_valloc",
    "malloc_zone_realloc",
    "malloc_zone_memalign",
    "malloc_zone_free",
    r"runtime\..*",
    "BaseArena::.*",
    "(::)?do_malloc_no_errno",
    "(::)?do_malloc_pages",
    "(::)?do_malloc",
    "DoSampledAllocation",
    "MallocedMemBlock::MallocedMemBlock",
    "_M_allocate",
    "__builtin_(vec_)?delete",
    "__builtin_(vec_)?new",
    "__gnu_cxx::new_allocator::allocate",
    "__libc_malloc",
    "__malloc_alloc_template::allocate",
    "allocate",
    "cpp_alloc",
    r"operator new(\[\])?",
    "simple_alloc::allocate",
];

/// What calls jemalloc's own functions: its interfaces to C, C++ and Rust.
const JEMALLOC: &[&str] = &[
    "(_rjem_)?(je_)?(malloc|calloc|realloc|mallocx|rallocx|memalign|aligned_alloc|posix_memalign|valloc|pvalloc)(_default)?",
    "(_rjem_)?(je_)?prof_backtrace",
    r"operator new(\[\])?",
    "(__rustc::)?__r(ust|dl|g)_(re)?alloc(_zeroed)?",
];

/// Functions of Go's runtime that call the program's.
const CALLERS: &[&str] = &[r"runtime\.panic", r"runtime\.reflectcall", r"runtime\.call[0-9]*"];

const LOCKS: &[&str] = &[
    "RecordLockProfileData",
    "(base::)?RecordLockProfileData.*",
    "(base::)?SubmitMutexProfileData.*",
    "(base::)?SubmitSpinLockProfileData.*",
    "(base::Mutex::)?AwaitCommon.*",
    "(base::Mutex::)?Unlock.*",
    "(base::Mutex::)?UnlockSlow.*",
    "(base::Mutex::)?ReaderUnlock.*",
    "(base::MutexLock::)?~MutexLock.*",
    "(Mutex::)?AwaitCommon.*",
    "(Mutex::)?Unlock.*",
    "(Mutex::)?UnlockSlow.*",
    "(Mutex::)?ReaderUnlock.*",
    "(MutexLock::)?~MutexLock.*",
    "(SpinLock::)?Unlock.*",
    "(SpinLock::)?SlowUnlock.*",
    "(SpinLockHolder::)?~SpinLockHolder.*",
];

const SIGNAL_HANDLERS: &[&str] = &[
    "ProfileData::Add",
    "ProfileData::prof_handler",
    "CpuProfiler::prof_handler",
    "__pthread_sighandler",
    "__restore",
];

/// Sets the expression of frames that are dropped of a profile of jemalloc.
pub(super) fn name_those_of_jemalloc(profile: &mut Profile) {
    profile.drop_frames = profile.texts.intern(&JEMALLOC.join("|"));
}

/// Sets the expressions of frames that are dropped, and of those that are not, where the format has not.
pub(super) fn name_uninteresting(profile: &mut Profile) {
    if !profile.drop_frames.is_empty() {
        return;
    }
    let types: Vec<&str> = profile.sample_types.iter().map(|t| profile.text(t.ty)).collect();
    let (drop, keep): (&[&str], &[&str]) = if HEAP.contains(&types.as_slice()) {
        (ALLOCATORS, CALLERS)
    } else if types == CONTENTION {
        (LOCKS, &[])
    } else {
        (SIGNAL_HANDLERS, &[])
    };
    profile.drop_frames = profile.texts.intern(&drop.join("|"));
    profile.keep_frames = profile.texts.intern(&keep.join("|"));
}

#[cfg(test)]
mod tests {
    use super::name_uninteresting;
    use crate::pattern::Pattern;
    use crate::profile::{Profile, ValueType};

    #[test]
    fn frames_are_named_by_type() {
        let cases: [(&[&str], &str, &str); 4] = [
            (&["objects", "space"], "tcmalloc::New", "runtime.call32"),
            (&["contentions", "delay"], "Mutex::Unlock", ""),
            (&["samples", "cpu"], "__restore", ""),
            (&[], "__restore", ""),
        ];
        for (types, dropped, kept) in cases {
            let mut profile = Profile::default();
            for ty in types {
                let ty = profile.texts.intern(ty);
                profile.sample_types.push(ValueType { ty, ..ValueType::default() });
            }
            name_uninteresting(&mut profile);
            let whole = |text| Pattern::new(&format!("^({})$", profile.text(text))).unwrap();
            assert!(whole(profile.drop_frames).matches(dropped), "{types:?}");
            assert!(whole(profile.keep_frames).matches(kept), "{types:?}");
        }
    }
}
