/** Where an SSH server is, who we are to it, and by which key it is known. */

export interface SshTarget {
  /** As errors name the host. */
  readonly name: string;
  /** Host name or IP address. */
  readonly address: string;
  readonly port: number;
  readonly user: string;
  /** PEM or OpenSSH form. Held in memory only. */
  readonly privateKey?: string;
  readonly passphrase?: string;
  /** Path of an agent's socket on this machine. */
  readonly agentSocket?: string;
  /** Lines of known_hosts. Required: nobody is trusted at first sight. */
  readonly knownHosts: string;
  /** The way there, where it is not direct. */
  readonly jump?: SshTarget;
}
