"""Certificates of one run: an authority `ca`, and what it signed."""

import base64
import subprocess

# By name: the names that a certificate is for. A client's is for itself.
SIGNED = {
    "exact": "exact.example",
    "wild": "*.wild.example",
    "client": "client.example",
}


class Certificates:
    """Files of a directory, by `<name>_crt` and `<name>_key`."""

    def __init__(self, directory):
        self.files = {}
        for name in ("ca", "stranger"):
            self._make(directory, name, f"{name} of the tests", [])
        for name, subject in SIGNED.items():
            signer = ["-CA", self.files["ca_crt"], "-CAkey", self.files["ca_key"]]
            self._make(directory, name, subject, signer)
        self.own = {self._der(name): name for name in SIGNED}

    def _make(self, directory, name, subject, signer):
        crt, key = str(directory / f"{name}.crt"), str(directory / f"{name}.key")
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt"]
        command += ["ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={subject}"]
        if signer:
            names = f"subjectAltName=DNS:{subject},URI:spiffe://tests/{name}"
            command += [*signer, "-addext", names, "-addext", "basicConstraints=CA:FALSE"]
        command += ["-keyout", key, "-out", crt]
        subprocess.run(command, check=True, capture_output=True)
        self.files |= {f"{name}_crt": crt, f"{name}_key": key}

    def encoded(self):
        """The files' bytes as a Secret holds them, by the same names."""
        encoded = {}
        for name, path in self.files.items():
            with open(path, "rb") as file:
                encoded[name] = base64.b64encode(file.read()).decode()
        return encoded

    def name_of(self, der):
        """Which of ours a server showed."""
        return self.own.get(der, "another")

    def _der(self, name):
        command = ["openssl", "x509", "-in", self.files[f"{name}_crt"], "-outform", "DER"]
        return subprocess.run(command, check=True, capture_output=True).stdout
