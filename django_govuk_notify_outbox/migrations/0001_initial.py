import django.db.models.deletion
import django.utils.timezone
import django_govuk_notify_outbox.fields
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Hold',
            fields=[
                ('name', models.CharField(max_length=32, primary_key=True, serialize=False)),
                ('until', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='EmailMessage',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('email_address', models.CharField(max_length=400, verbose_name='recipient')),
                ('address_digest', models.CharField(editable=False, max_length=32)),
                ('template_id', models.CharField(max_length=255, verbose_name='template')),
                ('personalisation', django_govuk_notify_outbox.fields.JSONTextField(blank=True, verbose_name='personalisation')),
                ('reference', models.CharField(max_length=1000, verbose_name='reference')),
                ('reference_digest', models.CharField(editable=False, max_length=32)),
                ('email_reply_to_id', models.CharField(blank=True, max_length=255, verbose_name='reply-to address id')),
                ('one_click_unsubscribe_url', models.TextField(blank=True, verbose_name='one-click unsubscribe URL')),
                ('sanitise_content_for', django_govuk_notify_outbox.fields.JSONTextField(blank=True, verbose_name='sanitise content for')),
                ('status', models.CharField(choices=[('sending-to-notify', 'Sending to Notify'), ('retrying-send-to-notify', 'Retrying send to Notify'), ('failed-send-to-notify', 'Failed to send to Notify'), ('sent-to-notify', 'Sent to Notify'), ('notify-created', 'Notify: created'), ('notify-sending', 'Notify: sending'), ('notify-delivered', 'Notify: delivered'), ('notify-temporary-failure', 'Notify: temporary failure'), ('notify-technical-failure', 'Notify: technical failure'), ('notify-permanent-failure', 'Notify: permanent failure')], default='sending-to-notify', editable=False, max_length=32, verbose_name='status')),
                ('notify_id', models.UUIDField(editable=False, null=True, unique=True, verbose_name='Notify id')),
                ('subject', models.CharField(blank=True, editable=False, max_length=255, verbose_name='subject')),
                ('due_at', models.DateTimeField(editable=False, null=True, verbose_name='due')),
                ('attempts', models.PositiveIntegerField(default=0, editable=False, verbose_name='attempts')),
                ('attempt_started_at', models.DateTimeField(editable=False, null=True, verbose_name='last attempt began')),
                ('unclear_until', models.DateTimeField(editable=False, null=True, verbose_name='unclear until')),
                ('is_stopped', models.BooleanField(default=False, editable=False, verbose_name='stopped')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created')),
                ('requested_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='asked for')),
                ('sent_at', models.DateTimeField(editable=False, null=True, verbose_name='accepted by Notify')),
                ('status_changed_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='status changed')),
            ],
            options={
                'verbose_name': 'email',
                'verbose_name_plural': 'emails',
                'permissions': (('view_emailmessage_contents', 'Can see recipients and contents of emails'), ('send_emailmessage_again', 'Can send emails again'), ('check_emailmessage', 'Can have Notify asked about emails'), ('stop_emailmessage', 'Can stop emails from being sent')),
                'indexes': [models.Index(fields=['due_at', 'status'], name='govuk_outbox_due'), models.Index(fields=['address_digest'], name='govuk_outbox_address'), models.Index(fields=['reference_digest'], name='govuk_outbox_reference'), models.Index(fields=['status', 'created_at'], name='govuk_outbox_status'), models.Index(fields=['template_id', 'created_at'], name='govuk_outbox_template'), models.Index(fields=['created_at'], name='govuk_outbox_created'), models.Index(fields=['sent_at'], name='govuk_outbox_sent')],
            },
        ),
        migrations.CreateModel(
            name='EmailMessageEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='time')),
                ('kind', models.CharField(choices=[('attempt', 'Attempt to send'), ('question', 'Question about an unclear attempt'), ('report', 'Report from Notify'), ('abandoned', 'Abandoned'), ('sent-again', 'Sent again'), ('checked', 'Checked'), ('stopped', 'Stopped')], max_length=16, verbose_name='what')),
                ('outcome', models.CharField(blank=True, choices=[('accepted', 'Accepted'), ('accepted-again', 'Accepted again'), ('refused', 'Refused'), ('try-later', 'Not accepted, to be tried later'), ('limited', 'Limited'), ('unclear', 'Unclear'), ('found', 'Found at Notify'), ('not-found', 'Not at Notify'), ('not-found-yet', 'Not at Notify yet'), ('no-answer', 'No answer')], max_length=16, verbose_name='outcome')),
                ('previous_status', models.CharField(choices=[('sending-to-notify', 'Sending to Notify'), ('retrying-send-to-notify', 'Retrying send to Notify'), ('failed-send-to-notify', 'Failed to send to Notify'), ('sent-to-notify', 'Sent to Notify'), ('notify-created', 'Notify: created'), ('notify-sending', 'Notify: sending'), ('notify-delivered', 'Notify: delivered'), ('notify-temporary-failure', 'Notify: temporary failure'), ('notify-technical-failure', 'Notify: technical failure'), ('notify-permanent-failure', 'Notify: permanent failure')], max_length=32, verbose_name='status before')),
                ('status', models.CharField(choices=[('sending-to-notify', 'Sending to Notify'), ('retrying-send-to-notify', 'Retrying send to Notify'), ('failed-send-to-notify', 'Failed to send to Notify'), ('sent-to-notify', 'Sent to Notify'), ('notify-created', 'Notify: created'), ('notify-sending', 'Notify: sending'), ('notify-delivered', 'Notify: delivered'), ('notify-temporary-failure', 'Notify: temporary failure'), ('notify-technical-failure', 'Notify: technical failure'), ('notify-permanent-failure', 'Notify: permanent failure')], max_length=32, verbose_name='status after')),
                ('attempt', models.PositiveIntegerField(null=True, verbose_name='attempt')),
                ('source', models.CharField(choices=[('sending', 'Sending'), ('look-up', 'Look-up'), ('page', 'Page of the list'), ('receipt', 'Delivery receipt'), ('clock', 'Clock'), ('person', 'Person')], max_length=16, verbose_name='learnt from')),
                ('notify_status', models.CharField(blank=True, max_length=255, verbose_name="Notify's status")),
                ('http_status', models.PositiveSmallIntegerField(null=True, verbose_name='HTTP status')),
                ('error_type', models.CharField(blank=True, max_length=255, verbose_name='error type')),
                ('message', models.TextField(blank=True, verbose_name='message')),
                ('exception', models.CharField(blank=True, max_length=255, verbose_name='exception')),
                ('traceback', models.TextField(blank=True, verbose_name='traceback')),
                ('former_notify_id', models.UUIDField(null=True, verbose_name='former Notify id')),
                ('person', models.CharField(blank=True, max_length=255, verbose_name='person')),
                ('duration', models.FloatField(null=True, verbose_name='duration')),
                ('email_message', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='events', to='django_govuk_notify_outbox.emailmessage', verbose_name='email')),
            ],
            options={
                'verbose_name': 'event',
                'verbose_name_plural': 'events',
                'ordering': ('pk',),
            },
        ),
    ]
