"""What can be seen of a run: metrics, a timeline, the path of one Deployment, a summary, a report. Nothing here changes anything."""
