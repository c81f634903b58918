"""Makes .job files, the task scheduler's files up to Windows XP and 2003 ([MS-TSCH] 2.4)."""

import hashlib
import struct
import uuid


def text(value):
    """A length in characters with the end mark, then UTF-16; nothing at all is the length 0."""
    return struct.pack("<H", len(value) + 1) + (value + "\0").encode("utf-16-le") if value else struct.pack("<H", 0)


def daily(year, month, day, hour, minute):
    """A TASK_TRIGGER that fires every day from a day on."""
    return struct.pack("<HHHHHHHHHHIIIIHHHHHH", 48, 0, year, month, day, 0, 0, 0, hour, minute, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0)


def job(application, parameters, folder, author, comment, trigger, last_run):
    """`last_run` as a SYSTEMTIME: year, month, weekday, day, hour, minute, second, millisecond."""
    identity = uuid.UUID(hashlib.md5((application + parameters).encode()).hexdigest()).bytes_le
    head = 68
    strings = text(application) + text(parameters) + text(folder) + text(author) + text(comment)
    # FIXDLEN_DATA ends at 68; the running instance count stands before the strings, user data and reserved data after them.
    name_at = head + 2
    after = struct.pack("<H", 0) + struct.pack("<H", 8) + struct.pack("<II", 0, 0)
    triggers_at = name_at + len(strings) + len(after)
    fixed = struct.pack("<HH", 0x0501, 1) + identity + struct.pack("<HH", name_at, triggers_at)
    # Error retries and their interval, idle wait and deadline, priority normal, the longest run 72 h, exit code, status, flags.
    fixed += struct.pack("<HHHHIIIII", 0, 0, 60, 10, 0x20, 72 * 3_600_000, 0, 0x41300, 0)
    fixed += struct.pack("<8H", *last_run)
    assert len(fixed) == head
    return fixed + struct.pack("<H", 0) + strings + after + struct.pack("<H", 1) + trigger


AUTHOR = "CORP\\appadmin"
#: The three tasks of the story in the order in which they are read: file -> what it runs, with what, where, what it is, when.
TASKS = {
    "Backup.job": ("C:\\Windows\\System32\\wbadmin.exe", "start backup -backupTarget:E: -include:C: -quiet", "C:\\Windows\\System32", "Nightly backup", (2018, 1, 8, 1, 30)),
    "Inventory.job": ("C:\\Tools\\inventory.cmd", "/quiet", "C:\\Tools", "", (2018, 2, 1, 6, 0)),
    "AV.job": ("C:\\Program Files\\Contoso AV\\avscan.exe", "/scan C:\\ /report \\\\FS01\\reports$\\av.log", "C:\\Program Files\\Contoso AV", "Daily antivirus scan", (2018, 3, 5, 3, 30)),
}  # fmt: skip


def all_jobs():
    """File name -> contents."""
    last_run = (2018, 6, 3, 20, 3, 30, 0, 0)
    return {name: job(program, words, folder, AUTHOR, comment, daily(*start), last_run) for name, (program, words, folder, comment, start) in TASKS.items()}


def facts():
    """What the files say, for an expectation."""
    keys = ("application", "parameters", "folder", "comment", "daily_from")
    return [{"file": name, "author": AUTHOR, **dict(zip(keys, task))} for name, task in TASKS.items()]
