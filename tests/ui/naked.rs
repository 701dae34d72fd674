use pprof_runtime::profile;

#[profile]
#[unsafe(naked)]
pub extern "C" fn nothing() {
    core::arch::naked_asm!("ret")
}

fn main() {
    nothing();
}
