
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('django_govuk_notify_outbox', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Mailing',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
            ],
        ),
        migrations.CreateModel(
            name='Appeal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=50)),
                ('answer', models.OneToOneField(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='appeal', to='django_govuk_notify_outbox.emailmessage')),
                ('copy', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='django_govuk_notify_outbox.emailmessage', verbose_name='copy to the court')),
            ],
        ),
        migrations.CreateModel(
            name='Licence',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('decision', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='django_govuk_notify_outbox.emailmessage')),
                ('reminders', models.ManyToManyField(related_name='licences', to='django_govuk_notify_outbox.emailmessage')),
            ],
        ),
        migrations.CreateModel(
            name='Part',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('email', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to='django_govuk_notify_outbox.emailmessage')),
                ('mailing', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to='linking.mailing')),
            ],
        ),
        migrations.AddField(
            model_name='mailing',
            name='emails',
            field=models.ManyToManyField(related_name='+', through='linking.Part', to='django_govuk_notify_outbox.emailmessage'),
        ),
    ]
