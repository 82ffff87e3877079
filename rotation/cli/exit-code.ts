/** What `kms-etcd` ends with. Scripts rely on these numbers: never change one. */
export const ExitCode = {
  /** At the goal; nothing is pending; the report is good. */
  Ok: 0,
  /** Something failed that is no state of the cluster: no permission, a file that cannot be written, a bug. */
  Error: 1,
  /** The command line or the configuration file cannot be used. Nothing was looked at. */
  Usage: 2,
  /** The cluster is not at the goal, and a run can take it there. */
  Pending: 3,
  /** The cluster is not at the goal, and something must be mended first; or another engine is at work. */
  Blocked: 4,
  /** The report is not signed, not with this key, or was changed. */
  Untrusted: 5,
  /** Stopped by ^C or SIGTERM, at a safe point; the same command goes on from there. */
  Interrupted: 130,
} as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** The table in `kms-etcd --help`. */
export const exitCodeHelp = `
Exit codes:
  0    at the goal, nothing pending, or the report is good
  1    error
  2    the command line or the configuration file cannot be used
  3    changes are pending: a run would carry them out
  4    blocked: something must be mended first, or another engine is at work
  5    the report is not signed, not with this key, or was changed
  130  stopped by ^C or SIGTERM at a safe point; the same command goes on`;
