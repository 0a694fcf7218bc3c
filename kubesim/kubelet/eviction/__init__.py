"""Eviction under pressure: what is watched, when it is too little, and who has to go."""
