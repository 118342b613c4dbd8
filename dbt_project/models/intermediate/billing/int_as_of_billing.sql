with as_of_customers as (

    select * from {{ ref('int_as_of_customers') }}

),

settlements as (

    select * from {{ ref('int_bill_settlement_versions') }}

),

bills as (

    select
        as_of_customers.customer_key,
        as_of_customers.as_of_month_number,
        settlements.billed_amount,
        settlements.allocated_amount,
        settlements.money_amount,
        settlements.paid_by_due_date_amount,
        settlements.paid_30_days_late_amount,
        settlements.paid_before_default_amount,
        settlements.payments_count,
        settlements.returned_payments_count,
        as_of_customers.as_of_month_number - settlements.issued_month_number <= 11 as is_issued_in_year,
        settlements.due_date <= as_of_customers.month_end_date as is_due,
        settlements.due_date <= as_of_customers.month_end_date
        and as_of_customers.as_of_month_number - settlements.due_month_number <= 2 as is_due_in_quarter,
        settlements.due_date <= as_of_customers.month_end_date
        and as_of_customers.as_of_month_number - settlements.due_month_number <= 5 as is_due_in_half_year,
        settlements.due_date <= as_of_customers.month_end_date
        and as_of_customers.as_of_month_number - settlements.due_month_number <= 11 as is_due_in_year,
        settlements.paid_by_due_date_amount < settlements.billed_amount as is_late,
        as_of_customers.as_of_month_number - settlements.due_month_number as months_since_due,
        {{ datediff('settlements.due_date', 'as_of_customers.month_end_date', 'day') }} as days_since_due,
        settlements.overdue_30d_date <= as_of_customers.month_end_date as is_30_days_past_due,
        settlements.paid_30_days_late_amount < settlements.billed_amount as is_unpaid_after_30_days,
        settlements.default_date <= as_of_customers.month_end_date
        and settlements.allocated_amount < settlements.billed_amount as is_in_default,
        as_of_customers.as_of_month_number - {{ month_number('settlements.overdue_30d_date') }}
            as months_since_overdue_30d,
        {{ days_late(
            'settlements.due_date', 'settlements.fully_paid_date', 'as_of_customers.month_end_date'
        ) }} as days_late
    from as_of_customers
    inner join settlements
        on
            as_of_customers.customer_key = settlements.customer_key
            and {{ is_visible_in('settlements', 'as_of_customers.as_of_month_number') }}

),

sums as (

    select
        customer_key,
        as_of_month_number,
        cast(count(case when is_issued_in_year then 1 end) as integer) as bills_12m_count,
        {{ sum_where('billed_amount', 'is_issued_in_year', 'decimal(18, 2)') }} as billed_amount_12m_amount,
        count(case when is_due_in_quarter then 1 end) as due_bills_3m_count,
        count(case when is_due_in_half_year then 1 end) as due_bills_6m_count,
        count(case when is_due_in_year then 1 end) as due_bills_12m_count,
        count(case when is_due_in_quarter and is_late then 1 end) as late_bills_3m_count,
        count(case when is_due_in_half_year and is_late then 1 end) as late_bills_6m_count,
        count(case when is_due_in_year and is_late then 1 end) as late_bills_12m_count,
        min(case when is_due_in_year and is_late then months_since_due end) as months_since_late_bill_months,
        count(case when is_due_in_quarter and payments_count > 1 then 1 end) as partial_payments_3m_count,
        count(case when is_due_in_half_year and payments_count > 1 then 1 end) as partial_payments_6m_count,
        count(case when is_due_in_year and payments_count > 1 then 1 end) as partial_payments_12m_count,
        cast(sum(case when is_due_in_quarter then returned_payments_count end) as integer) as returned_payments_3m_count,
        cast(sum(case when is_due_in_half_year then returned_payments_count end) as integer) as returned_payments_6m_count,
        cast(sum(case when is_due_in_year then returned_payments_count end) as integer) as returned_payments_12m_count,
        {{ sum_where('billed_amount', 'is_due_in_quarter', 'decimal(18, 2)') }} as due_3m_amount,
        {{ sum_where('paid_by_due_date_amount', 'is_due_in_quarter', 'decimal(18, 2)') }} as paid_by_due_date_3m_amount,
        {{ sum_where('money_amount', 'is_due_in_quarter', 'decimal(18, 2)') }} as money_3m_amount,
        {{ sum_where('billed_amount', 'is_due_in_half_year', 'decimal(18, 2)') }} as due_6m_amount,
        {{ sum_where('paid_by_due_date_amount', 'is_due_in_half_year', 'decimal(18, 2)') }} as paid_by_due_date_6m_amount,
        {{ sum_where('money_amount', 'is_due_in_half_year', 'decimal(18, 2)') }} as money_6m_amount,
        {{ sum_where('billed_amount', 'is_due_in_year', 'decimal(18, 2)') }} as due_12m_amount,
        {{ sum_where('money_amount', 'is_due_in_year', 'decimal(18, 2)') }} as money_12m_amount,
        min(case when is_due_in_year then {{ percentage('money_amount', 'billed_amount') }} end)
            as lowest_money_received_12m_pct,
        {{ sum_where('paid_by_due_date_amount', 'is_due_in_year', 'decimal(18, 2)') }} as paid_by_due_date_12m_amount,
        {{ sum_where('billed_amount', 'is_due_in_half_year and is_30_days_past_due', 'decimal(18, 2)') }}
            as due_30_days_ago_6m_amount,
        {{ sum_where('paid_30_days_late_amount', 'is_due_in_half_year and is_30_days_past_due', 'decimal(18, 2)') }}
            as paid_30_days_late_6m_amount,
        {{ sum_where('billed_amount', 'is_due_in_year and is_30_days_past_due', 'decimal(18, 2)') }}
            as due_30_days_ago_12m_amount,
        {{ sum_where('paid_30_days_late_amount', 'is_due_in_year and is_30_days_past_due', 'decimal(18, 2)') }}
            as paid_30_days_late_12m_amount,
        cast(
            coalesce(sum(case when is_due then billed_amount - allocated_amount end), 0) as decimal(18, 2)
        ) as unpaid_amount,
        cast(sum(billed_amount - allocated_amount) as decimal(18, 2)) as open_amount,
        max(case when is_due and allocated_amount < billed_amount then days_since_due end) as oldest_debt_days,
        {{ sum_where('days_late', 'is_due_in_quarter', 'bigint') }} as days_late_3m,
        {{ sum_where('days_late', 'is_due_in_half_year', 'bigint') }} as days_late_6m,
        {{ sum_where('days_late', 'is_due_in_year', 'bigint') }} as days_late_12m,
        max(case when is_due_in_quarter then days_late end) as max_days_late_3m_days,
        max(case when is_due_in_half_year then days_late end) as max_days_late_6m_days,
        max(case when is_due_in_year then days_late end) as max_days_late_12m_days,
        count(
            case when is_due_in_quarter and is_30_days_past_due and is_unpaid_after_30_days then 1 end
        ) as overdue_30d_bills_3m_count,
        count(
            case when is_due_in_half_year and is_30_days_past_due and is_unpaid_after_30_days then 1 end
        ) as overdue_30d_bills_6m_count,
        count(
            case when is_due_in_year and is_30_days_past_due and is_unpaid_after_30_days then 1 end
        ) as overdue_30d_bills_12m_count,
        min(
            case
                when is_30_days_past_due and is_unpaid_after_30_days and months_since_overdue_30d <= 11
                    then months_since_overdue_30d
            end
        ) as months_since_overdue_30d_months,
        coalesce(max(case when is_in_default then 1 end), 0) = 1 as is_in_default
    from bills
    group by customer_key, as_of_month_number

),

final as (

    select
        customer_key,
        as_of_month_number,
        {{ percentage('paid_by_due_date_3m_amount', 'due_3m_amount') }} as recovery_rate_due_3m_pct,
        {{ percentage('paid_by_due_date_6m_amount', 'due_6m_amount') }} as recovery_rate_due_6m_pct,
        {{ percentage('paid_by_due_date_12m_amount', 'due_12m_amount') }} as recovery_rate_due_12m_pct,
        {{ percentage('paid_30_days_late_6m_amount', 'due_30_days_ago_6m_amount') }} as recovery_rate_30d_6m_pct,
        {{ percentage('paid_30_days_late_12m_amount', 'due_30_days_ago_12m_amount') }} as recovery_rate_30d_12m_pct,
        {{ percentage('money_3m_amount', 'due_3m_amount') }} as money_received_3m_pct,
        {{ percentage('money_6m_amount', 'due_6m_amount') }} as money_received_6m_pct,
        {{ percentage('money_12m_amount', 'due_12m_amount') }} as money_received_12m_pct,
        lowest_money_received_12m_pct,
        case
            when due_bills_12m_count > 0 or unpaid_amount > 0
                then cast(unpaid_amount as double) * bills_12m_count
                    / nullif(cast(billed_amount_12m_amount as double), 0)
        end as unpaid_balance_ratio,
        cast(open_amount as double) * bills_12m_count / nullif(cast(billed_amount_12m_amount as double), 0)
            as open_balance_ratio,
        {{ percentage('(due_bills_12m_count - late_bills_12m_count)', 'due_bills_12m_count') }} as on_time_share_12m_pct,
        case when due_bills_3m_count > 0 then late_bills_3m_count end as late_bills_3m_count,
        case when due_bills_6m_count > 0 then late_bills_6m_count end as late_bills_6m_count,
        case when due_bills_12m_count > 0 then late_bills_12m_count end as late_bills_12m_count,
        months_since_late_bill_months,
        cast(days_late_3m as double) / nullif(due_bills_3m_count, 0) as mean_days_late_3m_days,
        cast(days_late_6m as double) / nullif(due_bills_6m_count, 0) as mean_days_late_6m_days,
        cast(days_late_12m as double) / nullif(due_bills_12m_count, 0) as mean_days_late_12m_days,
        max_days_late_3m_days,
        max_days_late_6m_days,
        max_days_late_12m_days,
        case when due_bills_12m_count > 0 or unpaid_amount > 0 then coalesce(oldest_debt_days, 0) end as oldest_debt_days,
        cast(days_late_3m as double) / nullif(due_bills_3m_count, 0)
        - cast(days_late_12m as double) / nullif(due_bills_12m_count, 0) as days_late_trend_days,
        case when due_bills_3m_count > 0 then partial_payments_3m_count end as partial_payments_3m_count,
        case when due_bills_6m_count > 0 then partial_payments_6m_count end as partial_payments_6m_count,
        case when due_bills_12m_count > 0 then partial_payments_12m_count end as partial_payments_12m_count,
        case when due_bills_3m_count > 0 then overdue_30d_bills_3m_count end as overdue_30d_bills_3m_count,
        case when due_bills_6m_count > 0 then overdue_30d_bills_6m_count end as overdue_30d_bills_6m_count,
        case when due_bills_12m_count > 0 then overdue_30d_bills_12m_count end as overdue_30d_bills_12m_count,
        returned_payments_3m_count,
        returned_payments_6m_count,
        returned_payments_12m_count,
        months_since_overdue_30d_months,
        cast(billed_amount_12m_amount as double) / nullif(bills_12m_count, 0) as mean_bill_12m_amount,
        billed_amount_12m_amount,
        unpaid_amount,
        open_amount,
        bills_12m_count,
        is_in_default
    from sums

)

select * from final
