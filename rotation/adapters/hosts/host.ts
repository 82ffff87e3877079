/**
 * Port: the files and unix sockets of one control-plane host. Each method is one step that either happened or did not, so
 * that an SFTP session can implement it as well as a local disk, and so that tests can end the engine between any two.
 * What is built from these steps (compare-and-swap, locks, backups) is written once, beside this file.
 */
import type { Duplex } from "node:stream";

export interface FileOwner {
  readonly uid: number;
  readonly gid: number;
}

export interface HostFile {
  readonly bytes: Buffer;
  /** Permission bits only. */
  readonly mode: number;
  readonly owner: FileOwner;
  /** By the host's clock, in milliseconds since the epoch. */
  readonly modifiedAt: number;
}

/** Paths are absolute. Methods throw KmsEtcdError, naming the host and the path. */
export interface Host {
  readonly name: string;
  /** Undefined where there is no such file. */
  readFile(path: string): Promise<HostFile | undefined>;
  /** Names of the plain files in the directory; none where there is no such directory. */
  listFiles(directory: string): Promise<readonly string[]>;
  /** Makes the directory (0700) and the ones above it where they are missing. */
  makeDirectory(path: string): Promise<void>;
  /**
   * Makes a file that must not exist yet, with its content on the disk when the call returns. Throws `conflict` where there
   * is one. When the engine ends in the middle, the file may be there with a part of its content. Without `owner` it
   * belongs to the user that the engine acts as.
   */
  createFile(path: string, bytes: Uint8Array, mode: number, owner?: FileOwner): Promise<void>;
  /** Puts a file in the place of another one, in one step. */
  rename(from: string, to: string): Promise<void>;
  /** False where there is none. */
  removeFile(path: string): Promise<boolean>;
  /** Makes the directory's entries (files made, renamed, removed) last through a power cut. */
  syncDirectory(path: string): Promise<void>;
  /** A connection to a unix socket of the host. */
  dialSocket(path: string, signal: AbortSignal): Promise<Duplex>;
  /**
   * When the file came to be as it is, by the host's clock: not what a copy that keeps times says (`rsync -a`, `cp -p`), but
   * when it was put there. Undefined where the host does not tell; left out where no host of this kind does.
   */
  changedAt?(path: string): Promise<number | undefined>;
  /** When the unix socket was made, by the host's clock and as finely as `modifiedAt` of a file. Undefined where there is none. */
  socketMadeAt?(path: string): Promise<number | undefined>;
  /** How far its clock is ahead of ours, in milliseconds. Left out: it is the same clock. */
  clockAhead?(): Promise<number>;
  close(): Promise<void>;
}
