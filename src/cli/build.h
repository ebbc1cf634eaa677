/* Which umbra this is, and how it was built. */
#ifndef CLI_BUILD_H
#define CLI_BUILD_H

#define BUILD_VERSION "umbra 0.1"

#if defined(__has_feature)
#define BUILD_HAS(feature) __has_feature(feature)
#else
#define BUILD_HAS(feature) 0
#endif

/* A sanitizer catches the signals of bugs itself, and tells more about them. */
#if defined(__SANITIZE_ADDRESS__) || BUILD_HAS(address_sanitizer)
#define BUILD_HAS_SANITIZER 1
#define BUILD_KIND	    ", with AddressSanitizer"
#elif defined(__SANITIZE_THREAD__) || BUILD_HAS(thread_sanitizer)
#define BUILD_HAS_SANITIZER 1
#define BUILD_KIND	    ", with ThreadSanitizer"
#else
#define BUILD_HAS_SANITIZER 0
#define BUILD_KIND	    ""
#endif

#if defined(__clang__)
#define BUILD_COMPILER "clang " __clang_version__
#else
#define BUILD_COMPILER "gcc " __VERSION__
#endif

#endif
