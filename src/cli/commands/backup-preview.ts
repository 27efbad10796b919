/** `backpack backup --dry-run`: lists what a backup would store. Writes nothing, neither here nor in the repository. */
import { byteStringToText } from '../../base/bytes.ts';
import { type PreviewEvent, preview } from '../../operations/preview.ts';
import type { Repository } from '../../repo/repository.ts';
import { exitCodes } from '../context.ts';
import type { Voice } from '../render/output.ts';
import { Progress } from '../render/progress.ts';
import { bytes, count, counted, safe } from '../render/text.ts';
import { reread, type Shown, show } from './backup-report.ts';

/** Runs it. @returns the exit code */
export async function previewBackup(
  voice: Voice,
  repository: Repository | undefined,
  options: Parameters<typeof preview>[1],
): Promise<number> {
  const progress = new Progress(voice, { read: 'read', sent: 'sent', items: 'files' });
  const shown: Shown = { errors: 0 };
  const tell = (event: PreviewEvent): void => {
    if (event.type !== 'would-store') {
      show(voice, progress, shown, event);
      return;
    }
    const { kind, change } = event;
    const path = byteStringToText(event.path);
    voice.event({ type: 'would-store', path, kind, change, bytes: event.bytes });
    voice.result(
      `${change.padEnd(7)}  ${(kind === 'f' ? bytes(event.bytes) : '').padStart(8)}  ${safe(path)}\n`,
    );
  };
  const s = await preview(repository, options, tell);
  const excluded =
    s.excluded === 0 ? '' : `Excluded ${counted(s.excluded, 'file or folder', 'files and folders')}\n`;
  voice.say(
    `${counted(s.files, 'file')}, ${bytes(s.bytes)}: new ${count(s.newFiles)}, changed ${count(s.changedFiles)}, unchanged ${count(s.unchangedFiles)}${reread(s.rereadFiles)}\n` +
      `${excluded}Dry run: ${bytes(s.bytesToRead)} would be read, nothing was written\n`,
  );
  const exitCode = s.sourceErrors > 0 ? exitCodes.incomplete : exitCodes.ok;
  voice.event({
    type: 'summary',
    command: 'backup',
    dryRun: true,
    snapshotId: null,
    files: s.files,
    filesNew: s.newFiles,
    filesChanged: s.changedFiles,
    filesUnchanged: s.unchangedFiles,
    filesReread: s.rereadFiles,
    bytes: s.bytes,
    bytesNew: s.newBytes,
    bytesToRead: s.bytesToRead,
    bytesRead: 0,
    stored: 0,
    sourceErrors: s.sourceErrors,
    excluded: s.excluded,
    elapsedMs: s.elapsedMs,
    exitCode,
  });
  return exitCode;
}
