/** How `backup` words what happens and what came of it. */
import { byteStringToText } from '../../base/bytes.ts';
import { shortId } from '../../format/names.ts';
import type { BackupEvent, BackupSummary } from '../../operations/backup-options.ts';
import { exitCodes } from '../context.ts';
import { spelled } from '../render/names.ts';
import type { Voice } from '../render/output.ts';
import type { Progress } from '../render/progress.ts';
import { bytes, count, counted, duration, safe } from '../render/text.ts';

/** How many unreadable files were named so far. */
export interface Shown {
  errors: number;
}

/** Words one event. */
export function show(voice: Voice, progress: Progress, counts: Shown, event: BackupEvent): void {
  if (event.type === 'progress') {
    const { bytesStored, files, bytesDone, bytesRead, totals } = event;
    progress.show({
      bytesDone,
      bytesRead,
      bytesSent: bytesStored,
      filesDone: files,
      bytesTotal: totals?.bytes ?? null,
      filesTotal: totals?.files ?? null,
    });
  } else if (event.type === 'source-error') {
    counts.errors += 1;
    voice.event({
      type: 'source-error',
      path: byteStringToText(event.path),
      code: event.code,
      message: event.message,
    });
    if (counts.errors <= errorsShown || voice.verbose) {
      progress.done();
      voice.warn(`cannot read ${spelled(event.path)} (${event.code})\n`);
    } else if (counts.errors === errorsShown + 1) {
      voice.warn('more files or folders could not be read; --verbose names them all\n');
    }
  } else if (event.type === 'skipped') {
    const text = byteStringToText(event.path);
    voice.event({ type: 'warning', code: 'BP_SKIPPED', message: `left out: ${event.reason}`, path: text });
    progress.done();
    voice.say(`left out ${spelled(event.path)}: ${event.reason}\n`);
  } else if (event.type === 'excluded') {
    if (!voice.verbose) return;
    const text = byteStringToText(event.path);
    voice.event({ type: 'excluded', path: text, rule: event.reason });
    progress.done();
    voice.say(`excluded ${spelled(event.path)}: ${safe(event.reason)}\n`);
  } else if (event.type === 'rules-ignored') {
    const text = byteStringToText(event.path);
    voice.event({ type: 'warning', code: 'BP_RULES_IGNORED', message: event.message, path: text });
    progress.done();
    voice.warn(`${spelled(event.path)}: ${event.message}\n`);
  } else if (event.type === 'checkpoint') {
    const { snapshotId, seq } = event;
    voice.event({ type: 'checkpoint', snapshotId, shortId: shortId(snapshotId), seq });
    progress.done();
    voice.say(`kept what is done so far as partial snapshot ${shortId(snapshotId)}\n`);
  } else if (event.type === 'unreadable') {
    const { object, error, others } = event;
    const more = others === 0 ? '' : `, and ${counted(others, 'other object')}`;
    const message = `${object}${more} cannot be read: ${error.message}`;
    const hint = 'run backpack check: it says what this affects';
    voice.event({ type: 'warning', code: error.code, message, object, hint });
    progress.done();
    voice.warn(`warning: ${safe(message)} (${error.code})\n  next: ${hint}\n`);
  } else if (event.type === 'empty-stream') {
    const message = 'is empty: the program ended well, but wrote nothing';
    voice.event({ type: 'warning', code: 'BP_STREAM_EMPTY', message, path: byteStringToText(event.path) });
    progress.done();
    voice.warn(`warning: ${spelled(event.path)} ${message} (BP_STREAM_EMPTY)\n`);
  } else if (event.type === 'key-file') {
    const message = 'is a key file of a repository: whoever can read this backup can read that repository';
    voice.event({ type: 'warning', code: 'BP_KEY_IN_SOURCE', message, path: byteStringToText(event.path) });
    progress.done();
    voice.warn(`warning: ${spelled(event.path)} ${message}\n`);
  } else {
    progress.done();
    warn(voice, event);
  }
}

function warn(
  voice: Voice,
  event: Extract<BackupEvent, { type: 'warning' | 'silent-change' | 'without-extras' }>,
): void {
  if (event.type === 'without-extras') {
    const message =
      `extended attributes, ACLs and file flags of ${counted(event.entries, 'entry', 'entries')} are not stored: ` +
      'they cannot be read here without the optional package koffi';
    voice.event({ type: 'warning', code: 'BP_NO_EXTRAS', message });
    voice.warn(`warning: ${message}\n`);
    return;
  }
  const path = byteStringToText(event.path);
  const say = (code: string, message: string, details = ''): void => {
    voice.event({ type: 'warning', code, message: message + details, path });
    voice.warn(`${message}: ${spelled(event.path)}\n`);
  };
  if (event.type === 'silent-change') {
    say('BP_SILENT_CHANGE', 'the content changed, but neither its size nor any of its times');
    return;
  }
  const { warnings } = event;
  if (warnings.includes('torn')) say('BP_TORN', 'changed while it was read', `: ${warnings.join(', ')}`);
  if (warnings.includes('xattrs'))
    say(
      'BP_XATTRS',
      'extended attributes are missing, because they could not be read or are more than 512 KiB',
    );
}

const errorsShown = 10;

/** Files that look unchanged and are so young that they are read all the same. */
export function reread(files: number): string {
  return files === 0 ? '' : `, read again to be sure ${count(files)}`;
}

/** Words the summary. @param first what to say after the very first backup @param again the command that restores */
export function report(voice: Voice, s: BackupSummary, first: string, again: string): void {
  const unread =
    s.sourceErrors === 0
      ? ''
      : `${counted(s.sourceErrors, 'file or folder', 'files or folders')} could not be read\n`;
  // What was known already was not compressed, and would make a ratio of thousands.
  const fresh = s.bytesAdded === s.bytesRead ? '' : `, of it new ${bytes(s.bytesAdded)}`;
  const ratio = s.bytesStored === 0 ? '0.0' : (s.bytesAdded / s.bytesStored).toFixed(1);
  const smaller = Number(ratio) > 1 ? ` (${ratio}x smaller)` : '';
  const excluded =
    s.excluded === 0 ? '' : `Excluded ${counted(s.excluded, 'file or folder', 'files and folders')}\n`;
  voice.say(
    `${unread}${counted(s.files, 'file')}, ${bytes(s.bytes)}: new ${count(s.newFiles)}, changed ${count(s.changedFiles)}, unchanged ${count(s.unchangedFiles)}${reread(s.rereadFiles)}\n${excluded}` +
      `Read ${bytes(s.bytesRead)}${fresh}, stored ${bytes(s.bytesStored)}${smaller} in ${duration(s.elapsedMs)}\n${first}` +
      `Restore with: ${again}\n`,
  );
  voice.result(
    s.unchanged
      ? `Unchanged since snapshot ${shortId(s.snapshotId)}; no new one was made\n`
      : `Snapshot ${shortId(s.snapshotId)}\n`,
  );
  voice.event({
    type: 'summary',
    command: 'backup',
    snapshotId: s.snapshotId,
    shortId: shortId(s.snapshotId),
    unchanged: s.unchanged,
    files: s.files,
    filesNew: s.newFiles,
    filesChanged: s.changedFiles,
    filesUnchanged: s.unchangedFiles,
    filesReread: s.rereadFiles,
    bytes: s.bytes,
    bytesRead: s.bytesRead,
    bytesAdded: s.bytesAdded,
    stored: s.bytesStored,
    sourceErrors: s.sourceErrors,
    excluded: s.excluded,
    elapsedMs: s.elapsedMs,
    exitCode: exitCodeOf(s),
  });
}

/** What is not there as it was is said with the exit code, too: files that were not read, torn ones, attributes. */
export function exitCodeOf(s: BackupSummary): number {
  return s.sourceErrors + s.tornFiles + s.incompleteEntries > 0 ? exitCodes.incomplete : exitCodes.ok;
}
