def run(inputs, workdir):
    return {"loss": "ÿþ€ latin é"}
