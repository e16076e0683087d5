# The table of instruction-set levels, slowest first. A row names the level, the processor family
# it compiles for, the CPU features it needs (as the compiler's cpu_supports names them) and its
# compile flags. Each level is one file, <name>.cpp.
#
# -Wno-[maybe-]uninitialized: the AVX-512 intrinsics of GCC 12 read a vector that they leave undefined
# on purpose. -fno-sanitize=thread: instrumented, the same compiler spills an 8-bit mask as one byte
# and reads four back.
#
#   name | target | features | flags
set(HASHCORE_ISA_LEVELS
    "portable|any||"
    "avx2|x86_64|avx2,popcnt|-mavx2 -mpopcnt"
    "avx512|x86_64|avx512f,avx512bw,avx512vl|-mavx512f -mavx512bw -mavx512vl -mprefer-vector-width=512 -Wno-uninitialized -Wno-maybe-uninitialized -fno-sanitize=thread"
    "avx512_vpopcnt|x86_64|avx512f,avx512bw,avx512vl,avx512vpopcntdq|-mavx512f -mavx512bw -mavx512vl -mavx512vpopcntdq -mprefer-vector-width=512 -Wno-uninitialized -Wno-maybe-uninitialized -fno-sanitize=thread"
    "neon|aarch64||"
)

# Adds every level of this processor family, <folder>/<name>.cpp, to the target and writes
# isa_levels.inc, one HASHCORE_ISA_LEVEL(name, supported) row each.
function(hashcore_add_isa_levels target folder)
    string(TOLOWER "${CMAKE_SYSTEM_PROCESSOR}" processor)
    string(REGEX REPLACE "^(amd64|x64)$" "x86_64" processor "${processor}")
    string(REGEX REPLACE "^arm64$" "aarch64" processor "${processor}")
    set(rows "")
    foreach(level IN LISTS HASHCORE_ISA_LEVELS)
        string(REPLACE "|" ";" level "${level};")
        list(GET level 0 name)
        list(GET level 1 family)
        list(GET level 2 features)
        list(GET level 3 flags)
        if(NOT family STREQUAL "any" AND NOT processor STREQUAL family)
            continue()
        endif()
        set(source "${folder}/${name}.cpp")
        target_sources(${target} PRIVATE "${source}")
        separate_arguments(flags)
        # -fno-exceptions and no STL keep shared inline functions, compiled with wider
        # instructions, from replacing the baseline's copies at link time. The unwind tables let an
        # exception of a callback (out of memory in Collector::make_room) pass through. A fused
        # multiply-add would round once where other levels round twice.
        set_source_files_properties("${source}" PROPERTIES COMPILE_OPTIONS
            "${flags};-fno-exceptions;-fno-rtti;-fasynchronous-unwind-tables;-ffp-contract=off")
        set(supported "true")
        string(REPLACE "," ";" features "${features}")
        foreach(feature IN LISTS features)
            string(APPEND supported " && __builtin_cpu_supports(\"${feature}\")")
        endforeach()
        string(APPEND rows "HASHCORE_ISA_LEVEL(${name}, ${supported})\n")
    endforeach()
    file(CONFIGURE OUTPUT "${CMAKE_CURRENT_BINARY_DIR}/generated/isa_levels.inc" CONTENT "${rows}" @ONLY)
    target_include_directories(${target} PRIVATE "${CMAKE_CURRENT_BINARY_DIR}/generated")
endfunction()
