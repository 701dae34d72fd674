//! Macros of `pprof-runtime`, which re-exports them: use them through that crate.
//!
//! One file per phase: `parse` the attribute's options, find the functions in the `item`, `validate` each `function`, `expand` it, as what it returns
//! asks for (`future`); `entry` and `select` are other macros, each with its own.
#![forbid(unsafe_code)]

mod arguments;
mod entry;
mod expand;
mod function;
mod future;
mod item;
mod parse;
mod select;
mod validate;

use parse::Attribute;
use proc_macro::TokenStream;

/// Counts and times the calls of a function, or of every function in a block, in the `functions` profile.
///
/// Goes on functions and methods of every kind but `const fn` and naked ones: generic, `unsafe`, `extern`, `async`, of traits and of
/// impls. The body is left as it is: `?`, `return`, panics and recursion are all counted. Nothing is asked of arguments or result.
///
/// Time is wall time from entry to exit, less annotated callees for the function's own share. Calls that end by unwinding are counted as
/// `panics` too, but for those that begin while their thread is unwinding already. The language drops a function's arguments after all
/// that is in it: the time of that is the caller's, unless they are moved into a local (`let list = list;`) or the function is async.
///
/// # Async functions
/// An `async fn` is one call from its first poll on, and is recorded as:
/// - `busy`: time while it is polled or dropped, `polls`: how often it was polled;
/// - `idle`: time from a poll that ended `Pending` to the next one, on whatever thread. It is charged once, to the innermost annotated
///   future, and to each of several that are pending side by side, as in `join!`. The `wall` time is both together;
/// - `scheduled`: the part of `idle` from a wake-up on, if `set_function_wakes` is on;
/// - `cancelled`: dropped after its first poll and before it was ready, and not by a panic's unwinding, which is one of `panics`. It is
///   counted on the path on which it was last polled, or on another thread on the one that drops it.
///
/// What polls only those of its futures that were woken, as `FuturesUnordered` does, hides the others: a wait in which it polls none
/// that stays pending is also that of the future around it.
///
/// The function becomes `fn f() -> impl Future<Output = T>`, as which its documentation shows it: what the compiler makes of it anyway. It
/// stays an `async fn`, at the price of a future around the recorded one, with `labels`, where `T` is `!`, where types are macros or have an
/// `impl`, and above attributes that may have to see it, as `#[tokio::main]`, `#[async_trait]` on the block, `#[must_use]` or `#[expect]`.
/// Name lifetimes in paths (`Iter<'_, u8>`): without the attribute an `async fn` has to, with it the compiler does not say so.
///
/// A function that returns `impl Future` or a boxed future (by these names) is recorded so too, if it can be seen to make it: in its last
/// expression, and where it is boxed in each `return` too, by `Box::pin(...)` or `....boxed()`. What comes before that is in no time.
/// Else the call that makes the future is timed: with an `impl Future` that is more than that (`+ Clone`, say), or that some `return`
/// makes, or whose last expression has a `#[cfg]`. Macros that hide a `return`, and traits that are called `Future` and are another
/// one, need `skip`.
///
/// # Blocks
/// On an `impl`, a `trait` or a `mod { ... }` it stands for one on every function with a body there, in a module also on those of its
/// blocks and modules. Left out, in silence:
/// - what has `#[profile(skip)]`, be it a function or a whole block;
/// - `const fn` and naked functions;
/// - modules in files of their own, functions inside of functions, and what macros make.
///
/// A function in there may have a `#[profile(...)]` of its own, whose options win; one with `#[cfg_attr(..., profile)]` is left to that.
///
/// # Options
/// - `name = "..."`: the name shown, instead of the function's path;
/// - `time = exact`, the default; `time = sampled(N)`: every call is counted, and 1 of N is timed, by chance, and counts N times, so that
///   sums are right in the mean. Sampled functions inside of one are timed when that is, and count as often. Of async functions a call is
///   timed in all of its polls or in none, but for those inside of another sampled call. What the clock itself takes in timed calls is nobody's. `time = off`: calls are counted, and their time is
///   their caller's. The profile's comments say on how many functions times are not exact;
/// - `cpu = sampled(N)`: the CPU time of 1 of N calls is measured, by system calls at both ends, and counts N times, as `cpu`. What those
///   calls take, a microsecond or more, is nobody's, as near as can be told: some 0.06 µs for each call of such functions remain, in it and in
///   what is around it. The CPU time of functions that do not ask for it is their caller's. Not on async functions;
/// - `alloc`: what is allocated while it runs is counted, exactly, as `alloc_objects` and `alloc_space`, in programs whose allocator is a
///   `pprof_runtime::Alloc`, be the `heap` profile on or not. What functions that it calls allocate is its own too, unless they have the
///   option themselves. What is made larger or smaller counts as made anew. Each allocation costs some 3 ns more meanwhile;
/// - `generic = each`: each instance of a generic function is a function of its own, named with its type arguments: `each<u8>`. The
///   default is `generic = one`. Lifetimes make no difference;
/// - `labels(user, "route" = request.path)`: sets labels while the function runs: arguments by their names, and what else can be displayed;
///   nothing of the arguments is shown unless it is asked for. The set is made at each call, for some 200 ns, be a profile on or not;
/// - `crate = path`: where `pprof_runtime` is, if it has been renamed or re-exported;
/// - `skip`: leaves the function or block as it is.
///
/// On a block they hold for all functions inside that do not say otherwise, but for `name`, `labels` and `skip`.
///
/// # Overhead
/// Two looks at the CPU's time stamp counter while the profile is on, some 20 ns; one predictable branch while it is off. With
/// `time = off` a call costs some 1 ns, with `time = sampled(64)` some 2: that is for functions of a few nanoseconds. Where calls of one path
/// come with one set of labels after the other, or go to one function after the other, each costs some 20 to 40 ns more, to find its place.
///
/// # Examples
/// ```ignore
/// // Compiled and run in pprof-runtime's tests: this crate cannot depend on it.
/// use pprof_runtime::profile;
///
/// #[profile]
/// fn parse(text: &str) -> Result<u32, std::num::ParseIntError> {
///     let number: u32 = text.trim().parse()?;
///     Ok(number)
/// }
///
/// #[profile(time = sampled(64))] // called by the million
/// fn digit(c: char) -> Option<u32> {
///     c.to_digit(10)
/// }
///
/// #[profile(name = "request")]
/// async fn handle() {}
///
/// struct Cache(Vec<u32>);
///
/// #[profile]
/// impl Cache {
///     fn insert(&mut self, value: u32) {
///         self.0.push(value);
///     }
///
///     #[profile(skip)]
///     fn len(&self) -> usize {
///         self.0.len()
///     }
/// }
/// ```
#[proc_macro_attribute]
pub fn profile(options: TokenStream, item: TokenStream) -> TokenStream {
    let original = proc_macro2::TokenStream::from(item);
    let expanded = parse::attribute(options.into()).and_then(|attribute| match attribute {
        Attribute::Profile(options) => item::item(&options, original.clone()),
        Attribute::Skip => Ok(original.clone()),
    });
    expanded.unwrap_or_else(|mistake| item::with_error(&mistake, &original)).into()
}

/// On `fn main`: profiles what the program's environment asks for, and writes it to files when the program ends.
///
/// ```text
/// PPROF=cpu,mutex,block ./program
/// ```
///
/// The variables, what is written and when, are those of `pprof_runtime::env`. If they are not set the program does nothing else than
/// without this attribute. A mistake in them is one line on standard error, and the program runs.
///
/// The function may return anything, and be `async` if the attribute of a runtime stands before or after this one, as may `#[profile]`.
///
/// # Options
/// - `crate = path`: where `pprof_runtime` is, if it has been renamed or re-exported.
///
/// # Examples
/// ```ignore
/// // Compiled and run in pprof-runtime's tests: this crate cannot depend on it.
/// #[pprof_runtime::main]
/// fn main() -> std::io::Result<()> {
///     std::fs::read_to_string("Cargo.toml")?;
///     Ok(())
/// }
/// ```
///
/// ```ignore
/// #[pprof_runtime::main]
/// #[tokio::main]
/// async fn main() {}
/// ```
#[proc_macro_attribute]
pub fn main(options: TokenStream, item: TokenStream) -> TokenStream {
    let original = proc_macro2::TokenStream::from(item);
    let expanded = syn::parse(options).and_then(|options| entry::main(&options, original.clone()));
    expanded.unwrap_or_else(|mistake| item::with_error(&mistake, &original)).into()
}

/// What `select!` and `select_biased!` of `pprof_runtime::crossbeam_channel` hand on: `[path of that module] order`, then what the user
/// wrote.
#[doc(hidden)]
#[proc_macro]
pub fn crossbeam_select(tokens: TokenStream) -> TokenStream {
    select::parse(tokens.into())
        .map_or_else(syn::Error::into_compile_error, |parsed| select::select(&parsed))
        .into()
}
