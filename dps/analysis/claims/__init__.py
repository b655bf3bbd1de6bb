"""The reference study's claims, each judged by a stated rule."""
