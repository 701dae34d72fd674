use std::future::Future;

use pprof_runtime::profile;

#[profile(time = often)]
fn time() {}

#[profile(time = sampled)]
fn time_of_how_many() {}

#[profile(time = sampled(0))]
fn time_of_none() {}

#[profile(time)]
fn time_alone() {}

#[profile(time = off, time = exact)]
fn time_twice() {}

#[profile(cpu = exact)]
fn cpu() {}

#[profile(cpu = sampled(few))]
fn cpu_of_how_many() {}

#[profile(cpu = sampled(8))]
async fn cpu_of_future() {}

#[profile(cpu = sampled(8))]
fn cpu_of_returned_future() -> impl Future<Output = ()> {
    async {}
}

#[profile(generic = all)]
fn generic<T>(_: T) {}

#[profile(generic = each, name = "generic")]
fn generic_with_name<T>(_: T) {}

fn main() {}
