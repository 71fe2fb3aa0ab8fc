"""Receipt tokens: claims on what a lending protocol holds. They lend nothing themselves."""
