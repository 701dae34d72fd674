async fn later() {}

#[pprof_runtime::main]
async fn main() -> Result<(), std::num::ParseIntError> {
    later().await;
    "1".parse::<u32>()?;
    Ok(())
}
