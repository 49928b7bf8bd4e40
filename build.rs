//! Tells the linker where functions lie in the program: `src/layout.ld` says why.

fn main() {
    println!("cargo:rerun-if-changed=src/layout.ld");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux") {
        let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        println!("cargo:rustc-cdylib-link-arg=-Wl,-T,{folder}/src/layout.ld");
    }
}
