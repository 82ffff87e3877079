/** A manifest that was edited, as text again, in the manner that it was written in: kubeadm does not indent its lists. */
import type { Document } from "yaml";

/** `before` is the text that the document was parsed from. */
export function manifestText(document: Document.Parsed, before: string): string {
  const flat = /^( *)[\w./-]+:[ \t]*\n\1- /m.test(before);
  return document.toString({ lineWidth: 0, flowCollectionPadding: false, indentSeq: !flat });
}
