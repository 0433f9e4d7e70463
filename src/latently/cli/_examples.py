"""One command line for each command, shown at the end of its help."""

from __future__ import annotations

#: They run one after another in a folder that holds ``transactions.csv`` and images in ``scans/``.
EXAMPLES = {
    "fit": "latently fit transactions.csv -o model.safetensors",
    "tune": "latently tune transactions.csv --n-trials 5 --effort fast -o best.safetensors",
    "detect": "latently detect transactions.csv -o fraud.safetensors --false-alarm-rate 0.02",
    "transform": "latently transform model.safetensors transactions.csv -o codes.csv",
    "inverse-transform": "latently inverse-transform model.safetensors codes.csv -o decoded.csv",
    "reconstruct": "latently reconstruct model.safetensors transactions.csv -o rebuilt.csv",
    "score": "latently score fraud.safetensors transactions.csv -o scores.csv --plot scores.png",
    "explain": "latently explain fraud.safetensors transactions.csv -o why.csv --plot why.png",
    "drift": "latently drift fraud.safetensors transactions.csv",
    "report": "latently report fraud.safetensors transactions.csv -o report.html",
    "impute": "latently impute transactions.csv -o filled.csv --plot fills.png",
    "denoise": "latently denoise denoiser.safetensors scans/ -o clean/",
    "sample": "latently sample vae.safetensors -n 50 --seed 0 -o synthetic.csv",
    "compare": "latently compare transactions.csv synthetic.csv --target amount",
    "inspect": "latently inspect model.safetensors",
    "export": "latently export fraud.safetensors -o fraud.onnx",
    "watch": "latently watch fraud.safetensors transactions.csv --alerts alerts.ndjson --once",
    "label": "latently label fraud.safetensors --yes 17,23 --no 42 --show",
    "demo": "latently demo -o demo-output",
}


def epilog(command: str) -> str:
    """Return the last lines of the help of a command: its example."""
    return f"Example:\n\n{EXAMPLES[command]}"
