"""What a study's records say: tables, theory, claims, figures and a web page."""
