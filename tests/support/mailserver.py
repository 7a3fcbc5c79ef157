"""A real mail server: Debian's OpenSMTPD takes mails, its Dovecot keeps them and shows them over IMAP.

Log-ins over TLS are Dovecot's part, too: OpenSMTPD's own TLS fails with OpenSSL 3 on Debian 12.
"""

from __future__ import annotations

import email
import email.policy
import imaplib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path

from tests.support.daemon import Late, until
from tests.support.http import free_port

TOOLS = ("smtpd", "dovecot", "unshare", "openssl")
PARTS = ("imap", "lmtp", "submission")
USER, PASSWORD = "watcher", "hunter2hunter2"
DOMAIN = "example.com"
PATIENCE = 20.0


def missing() -> str:
    """Why no mail server can be started here; "" if one can."""
    places = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    lacking = [tool for tool in TOOLS if shutil.which(tool, path=places) is None]
    lacking += [f"dovecot-{part}d" for part in PARTS if not Path("/usr/lib/dovecot", part).exists()]
    if lacking:
        return f"{', '.join(lacking)} missing: make test-deps"
    return "" if os.geteuid() == 0 else "starting a mail server needs root"


class MailServer:
    """Takes mails for anybody at example.com, after a log-in over TLS (`url`) or without one (`open_url`)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca_file = str(folder / "cert.pem")
        self._open, self._safe, self._imap, self._lmtp = (free_port() for _ in range(4))
        self._processes: list[subprocess.Popen[bytes]] = []

    def url(self, *recipients: str, password: str = PASSWORD) -> str:
        to = ",".join(recipients)
        return f"mailtos://{USER}:{password}@127.0.0.1:{self._safe}?mode=starttls&from=watcher@{DOMAIN}&to={to}"

    def open_url(self, *recipients: str) -> str:
        return f"mailto://127.0.0.1:{self._open}?mode=insecure&from=watcher@{DOMAIN}&to={','.join(recipients)}"

    def inbox(self, address: str) -> list[EmailMessage]:
        """What somebody finds in their mail client."""
        with imaplib.IMAP4("127.0.0.1", self._imap, timeout=PATIENCE) as imap:
            imap.login(address, PASSWORD)
            imap.select("INBOX")
            _, found = imap.search(None, "ALL")
            mails = [imap.fetch(number.decode(), "(RFC822)")[1][0] for number in found[0].split()]
        return [email.message_from_bytes(mail[1], policy=email.policy.default) for mail in mails]  # type: ignore[misc,index,arg-type]

    def arrived(self, address: str, count: int) -> list[EmailMessage]:
        """The inbox, once it has as many mails."""
        return until(lambda: _enough(self.inbox(address), count), f"{count} mails for {address}", PATIENCE)

    def start(self) -> None:
        make_certificate(self.folder)
        self._start("dovecot", ["dovecot", "-F", "-c", str(self._write("dovecot.conf", self._dovecot()))])
        conf = self._write("smtpd.conf", self._smtpd())
        self._start("smtpd", ["unshare", "--mount", "sh", "-c", self._alone(conf)])
        for port in (self._open, self._safe, self._imap, self._lmtp):
            until(lambda port=port: self._serves(port), f"port {port}: {self.said()}", PATIENCE)  # type: ignore[misc]

    def stop(self) -> None:
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()

    def said(self) -> str:
        return "".join(path.read_text(errors="replace")[-2000:] for path in sorted(self.folder.glob("*.log")))

    def _serves(self, port: int) -> bool:
        if any(process.poll() is not None for process in self._processes):
            raise Late(f"a mail server ended at once: {self.said()}")
        return _greets(port)

    def _start(self, name: str, command: list[str]) -> None:
        environment = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
        with (self.folder / f"{name}.log").open("wb") as log:
            self._processes.append(subprocess.Popen(command, stdout=log, stderr=log, env=environment))

    def _write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path

    def _alone(self, conf: Path) -> str:
        """Its spool and its control socket have fixed places: in a view of the file system of its own, they're ours."""
        spool, run = self.folder / "spool", self.folder / "run"
        spool.mkdir()
        run.mkdir()
        return (
            f"mount --make-rprivate / && mount --bind {spool} /var/spool && mount --bind {run} /run"
            f" && exec smtpd -d -f {conf}"
        )

    def _smtpd(self) -> str:
        return f"""
            table anybody {{ "@{DOMAIN}" = "nobody" }}
            listen on 127.0.0.1 port {self._open}
            action keep lmtp "127.0.0.1:{self._lmtp}" rcpt-to virtual <anybody>
            match from any for domain "{DOMAIN}" action keep
        """

    def _dovecot(self) -> str:
        mails = self.folder / "mails"
        mails.mkdir()
        mails.chmod(0o777)
        return f"""
            base_dir = {self.folder}/dovecot
            state_dir = {self.folder}/dovecot
            log_path = {self.folder}/imap.log
            protocols = imap lmtp submission
            listen = 127.0.0.1
            ssl = yes
            ssl_cert = <{self.folder}/cert.pem
            ssl_key = <{self.folder}/key.pem
            submission_relay_host = 127.0.0.1
            submission_relay_port = {self._open}
            submission_relay_trusted = no
            disable_plaintext_auth = no
            auth_failure_delay = 0
            mail_location = maildir:{mails}/%u
            first_valid_uid = 1
            passdb {{
              driver = static
              args = password={PASSWORD}
            }}
            userdb {{
              driver = static
              args = uid=nobody gid=nogroup home={mails}/%u allow_all_users=yes
            }}
            service imap-login {{
              inet_listener imap {{
                port = {self._imap}
              }}
              inet_listener imaps {{
                port = 0
              }}
            }}
            service submission-login {{
              inet_listener submission {{
                port = {self._safe}
              }}
              inet_listener submissions {{
                port = 0
              }}
            }}
            service anvil {{
              unix_listener anvil-auth-penalty {{
                mode = 0
              }}
            }}
            service lmtp {{
              inet_listener lmtp {{
                address = 127.0.0.1
                port = {self._lmtp}
              }}
            }}
        """


@contextmanager
def mail_server(tries: int = 3) -> Iterator[MailServer]:
    # Its servers drop their rights, and pytest's own folders let nobody else in.
    folder = Path(tempfile.mkdtemp(prefix="w-mail-", dir="/var/tmp"))
    folder.chmod(0o755)
    server = MailServer(folder)
    try:
        yield from _served(server, tries)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _served(server: MailServer, tries: int) -> Iterator[MailServer]:
    """Started; with other ports where somebody else took one in between."""
    try:
        server.start()
    except Late:
        if tries <= 1:
            raise
        with mail_server(tries - 1) as another:
            yield another
    else:
        yield server


def make_certificate(folder: Path) -> None:
    subject = ("-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1")
    kind = ("-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    _output("openssl", "req", *kind, *subject, "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem")
    (folder / "key.pem").chmod(0o600)


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _greets(port: int) -> bool:
    """Whether a mail server answers there, and nobody else."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as probe:
            return probe.recv(64).startswith((b"220 ", b"* OK "))
    except OSError:
        return False


def listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _enough(mails: list[EmailMessage], count: int) -> list[EmailMessage]:
    return mails if len(mails) >= count else []
