/**
 * How Node is started for the KMS plugin, in its image and wherever else it is run for real. Both generations of the heap are
 * kept small, which V8 otherwise fills before it cleans up: with Node's defaults the process grows to 250 MB, with these and
 * `pluginEnvironment` it reaches 150 MB at most, also with a cloud's SDK and as many calls as the server takes at once.
 */
export const pluginNodeOptions = ["--max-semi-space-size=4", "--max-old-space-size=128"] as const;

/**
 * glibc gives threads up to eight pools of memory a CPU, and each keeps what they have freed there. With two
 * pools the process is 12 MB smaller and as fast.
 */
export const pluginEnvironment = { MALLOC_ARENA_MAX: "2" } as const;
